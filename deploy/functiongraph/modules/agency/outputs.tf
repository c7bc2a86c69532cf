output "name" {
  description = "Name of the agency: what a function, an ECS or a pod is given."
  value       = huaweicloud_identity_agency.execution.name

  depends_on = [huaweicloud_identityv5_policy_agency_attach.execution]
}

output "policy" {
  description = "The policy, as JSON."
  value       = local.policy
}
