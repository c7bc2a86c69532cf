# Only the agency: for a function that runs elsewhere than FunctionGraph, on an ECS or in pods of CCE.
terraform {
  required_version = ">= 1.5.0"

  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.95.0, < 2.0.0"
    }
  }
}

variable "region" {
  description = "Region of the sessions: eu-west-101."
  type        = string
}

variable "service" {
  description = "The service that runs the function: op_svc_ecs for an ECS, op_svc_cce for pods of CCE."
  type        = string
  default     = "op_svc_ecs"
}

provider "huaweicloud" {
  region = var.region
}

module "agency" {
  source = "../../modules/agency"

  name     = "unmirror-${var.region}"
  projects = [var.region]
  service  = var.service
}

output "agency" {
  description = "Give it to the ECS (console: ECS, Manage Agency), or to the pod identity association of the service account."
  value       = module.agency.name
}
