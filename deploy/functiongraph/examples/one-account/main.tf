# One account, one region. Copy this folder, or work in it: module and zip are found two folders up.
terraform {
  required_version = ">= 1.5.0"

  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.95.0, < 2.0.0"
    }
  }

  # Keep the state in a bucket that is encrypted and that few may read: whatever stands in `secrets` stands in it.
  # backend "s3" {}
}

variable "region" {
  description = "Region of the function and of the sessions: eu-west-101."
  type        = string
}

variable "dry_run" {
  description = "true: report only. Set it to false when some days of reports say what you expect."
  type        = bool
  default     = true
}

variable "failure_email" {
  description = "Address that is told of events that failed to the end."
  type        = string
  default     = null
}

# Keys come from HW_ACCESS_KEY, HW_SECRET_KEY and HW_SECURITY_TOKEN, or a profile. Never write them here.
provider "huaweicloud" {
  region = var.region
}

module "unmirror" {
  source = "../.."

  region        = var.region
  dry_run       = var.dry_run
  failure_email = var.failure_email

  # Sessions that are never touched, by id or by a glob of the name.
  # settings = { UNMIRROR_PROTECT = "forensics-*" }

  # The container instead of the zip: many events at a time in one instance, and so batches of deletions.
  # package = "image"
  # image   = "swr.eu-west-101.myhuaweicloud.eu/example/unmirror:0.1.0"
  # memory  = 512
}

output "test_event" {
  description = "For the console's Test button."
  value       = module.unmirror.test_event
}

output "logs" {
  description = "Log group and log stream."
  value       = module.unmirror.logs
}
