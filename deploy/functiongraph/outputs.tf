output "function_urn" {
  description = "URN of the function, latest version."
  value       = huaweicloud_fgs_function.unmirror.urn
}

output "dry_run" {
  description = "Whether the function only reports."
  value       = var.dry_run
}

output "operations" {
  description = "The operations that call the function, as CTS names them."
  value       = flatten([for service, operation in local.operations : [for name in operation.names : "${service}:${operation.resource}:${name}"]])
}

output "failures" {
  description = "Where events go whose retries are used up: a bucket's folder, or a topic."
  value       = local.keeps_failures ? "obs://${var.failure_bucket}/${var.name}/failed" : one(huaweicloud_smn_topic.failures[*].topic_urn)
}

output "webhook" {
  description = "URL of the webhook; null without one."
  value       = var.webhook == null ? null : "https://${var.webhook.domain}${var.webhook.path}"
}

output "test_event" {
  description = "An event for the console's Test button. It asks for a sweep, under the same limits as any."
  value = jsonencode({
    version      = "v1.0"
    time         = "2026-01-01T00:00:00Z"
    trigger_type = "TIMER"
    trigger_name = "by-hand"
    user_event   = jsonencode({ project_id = var.project_id })
  })
}
