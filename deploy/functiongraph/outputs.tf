output "function_urn" {
  description = "URN of the function, latest version."
  value       = huaweicloud_fgs_function.unmirror.urn
}

output "dry_run" {
  description = "Whether the function only reports."
  value       = var.dry_run
}

output "projects" {
  description = "Ids of the projects that the function looks after, the one that it lives in first."
  value       = local.project_ids
}

output "operations" {
  description = "The operations that call the function, as CTS names them."
  value       = local.wanted
}

output "agencies" {
  description = "Names of the agency whose keys reach the code, and of the one by which FunctionGraph works around it."
  value       = { execution = module.agency.name, configuration = huaweicloud_identity_agency.configuration.name }
}

output "failures" {
  description = "Where events go whose retries are used up: a bucket's folder, or a topic."
  value       = local.keeps_failures ? "obs://${var.failure_bucket}/${var.name}/failed" : one(huaweicloud_smn_topic.failures[*].topic_urn)
}

output "logs" {
  description = "Names of the log group and the log stream."
  value       = "${local.log_stream.group_name}/${local.log_stream.stream_name}"
}

output "webhook" {
  description = "URL of the webhook; null without one."
  value       = var.webhook == null ? null : "https://${var.webhook.domain}${var.webhook.path}"
}

output "test_event" {
  description = "An event for the console's Test button: the function tries every read with its own keys, changes nothing, and answers what works and what to fix."
  value       = jsonencode({ type = "io.unmirror.check.due.v1", id = "by-hand", data = {} })
}
