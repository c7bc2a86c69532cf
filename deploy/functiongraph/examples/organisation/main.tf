# Many accounts and regions from one place. Terraform cannot choose a provider in a loop, so an account is a block of
# `provider` and a block of `module`, both the same but for its name; its regions are a loop within the module block.
terraform {
  required_version = ">= 1.5.0"

  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.95.0, < 2.0.0"
    }
  }

  # Keep the state in a bucket that is encrypted and that few may read.
  # backend "s3" {}
}

variable "accounts" {
  description = "Accounts by a name of yours: the account's name as IAM has it, and its regions with what differs there."
  type = map(object({
    domain_name = string
    regions = map(object({
      dry_run        = optional(bool, true)
      failure_bucket = optional(string)
      settings       = optional(map(string), {})
    }))
  }))
}

variable "agency" {
  description = "Agency in each account that lets the keys of this one administer IAM, FunctionGraph, LTS and SMN there."
  type        = string
  default     = "landing-zone-admin"
}

locals {
  region = keys(values(var.accounts)[0].regions)[0] # a provider wants one; every resource names its own
}

# --- the account `network` --------------------------------------------------------------------------------------

provider "huaweicloud" {
  alias  = "network"
  region = local.region

  assume_role {
    agency_name = var.agency
    domain_name = var.accounts["network"].domain_name
  }
}

module "network" {
  source    = "../.."
  for_each  = var.accounts["network"].regions
  providers = { huaweicloud = huaweicloud.network }

  region         = each.key
  dry_run        = each.value.dry_run
  failure_bucket = each.value.failure_bucket
  settings       = each.value.settings
}

# --- the account `workloads` ------------------------------------------------------------------------------------

provider "huaweicloud" {
  alias  = "workloads"
  region = local.region

  assume_role {
    agency_name = var.agency
    domain_name = var.accounts["workloads"].domain_name
  }
}

module "workloads" {
  source    = "../.."
  for_each  = var.accounts["workloads"].regions
  providers = { huaweicloud = huaweicloud.workloads }

  region         = each.key
  dry_run        = each.value.dry_run
  failure_bucket = each.value.failure_bucket
  settings       = each.value.settings
}

output "functions" {
  description = "URNs of the functions, by account and region."
  value = {
    network   = { for region, function in module.network : region => function.function_urn }
    workloads = { for region, function in module.workloads : region => function.function_urn }
  }
}
