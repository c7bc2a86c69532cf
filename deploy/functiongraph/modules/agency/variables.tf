variable "name" {
  description = "Beginning of the agency's and the policy's names. Both are global in the account, so it should carry the project's."
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z_-]{1,54}$", var.name))
    error_message = "1 to 54 letters, digits, hyphens and underscores: -execution is added, and IAM takes 64."
  }
}

variable "projects" {
  description = "Names of the projects in which a version 1.1 policy is granted: eu-west-101."
  type        = set(string)

  validation {
    condition     = length(var.projects) > 0
    error_message = "One project at least."
  }
}

variable "service" {
  description = "The service that runs the function: op_svc_cff is FunctionGraph, op_svc_ecs an ECS, op_svc_cce CCE."
  type        = string
  default     = "op_svc_cff"

  validation {
    condition     = can(regex("^op_svc_[A-Za-z]+$", var.service))
    error_message = "The name of a cloud service: it begins with op_svc_."
  }
}

variable "policy_version" {
  description = "1.1: a policy granted in the projects. 5.0: an identity policy, which has condition keys and holds in the whole account."
  type        = string
  default     = "1.1"

  validation {
    condition     = contains(["1.1", "5.0"], var.policy_version)
    error_message = "1.1 or 5.0."
  }
}

variable "removal_condition" {
  description = "For policy_version 5.0, a condition on removals: { StringEquals = { \"vpc:TrafficMirrorTargetId\" = [\"...\"] } }."
  type        = map(map(list(string)))
  default     = {}
}
