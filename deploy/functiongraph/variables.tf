# --- where ------------------------------------------------------------------------------------------------------

variable "region" {
  description = "Region of the function, its triggers and the sessions that it looks after: eu-west-101."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z0-9]+)+$", var.region))
    error_message = "A region, such as eu-west-101."
  }
}

variable "project_name" {
  description = "Name of the project. null: the region's own. For a sub-project the provider needs the same project_name."
  type        = string
  default     = null

  validation {
    condition     = var.project_name == null || can(regex("^[a-z]{2}(-[a-z0-9]+)+(_[0-9A-Za-z_-]+)?$", var.project_name))
    error_message = "A region, or a region, an underscore and a name: eu-west-101_network."
  }
}

variable "project_id" {
  description = "Id of the project, instead of its name."
  type        = string
  default     = null

  validation {
    condition     = var.project_id == null || can(regex("^[0-9a-f]{32}$", var.project_id))
    error_message = "A project id: 32 hexadecimal digits, not the project's name."
  }
}

variable "further_projects" {
  description = "Names of further projects of the account and region whose sessions are swept too. CTS tells only of the first."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.further_projects : can(regex("^[a-z]{2}(-[a-z0-9]+)+(_[0-9A-Za-z_-]+)?$", name))])
    error_message = "Names of projects: eu-west-101_network."
  }
}

variable "name" {
  description = "Name of the function, and the beginning of all names that are created beside it."
  type        = string
  default     = "unmirror"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "2 to 24 lower-case letters, digits and hyphens; a letter first."
  }
}

variable "enterprise_project_id" {
  description = "Enterprise project of the function, its topic and its logs. null: the provider's. Sessions know none."
  type        = string
  default     = null

  validation {
    condition     = var.enterprise_project_id == null || can(regex("^(0|[0-9a-f-]{36})$", var.enterprise_project_id))
    error_message = "An enterprise project's id, or 0 for the default one."
  }
}

variable "vpc" {
  description = "Gives the function access to a VPC, and takes the public network from it: then the subnet needs a NAT gateway or a VPC endpoint."
  type = object({
    vpc_id    = string
    subnet_id = string
  })
  default = null

  validation {
    condition     = var.vpc == null || alltrue([for id in values(coalesce(var.vpc, {})) : can(regex("^[0-9a-f-]{36}$", id))])
    error_message = "The ids of a VPC and of one of its subnets."
  }
}

variable "tags" {
  description = "Tags of the function, its topic and its logs."
  type        = map(string)
  default     = {}
}

# --- what runs --------------------------------------------------------------------------------------------------

variable "dry_run" {
  description = "true: report what would be detached, change nothing. Leave it so for the first days."
  type        = bool
  default     = true
}

variable "package" {
  description = "zip: FunctionGraph's own Python runtime. image: the container, which takes many events at a time."
  type        = string
  default     = "zip"

  validation {
    condition     = contains(["zip", "image"], var.package)
    error_message = "zip or image."
  }
}

variable "zip" {
  description = "What build_zip.py made, for package = zip. null: unmirror.zip beside this module."
  type        = string
  default     = null
}

variable "runtime" {
  description = "Runtime of the zip. The function needs Python 3.11, so where a region has no Python3.12 take the image."
  type        = string
  default     = "Python3.12"

  validation {
    condition     = can(regex("^Python3\\.(1[1-9]|[2-9][0-9])$", var.runtime))
    error_message = "Python3.12, or a newer one that the region offers and the zip was built for."
  }
}

variable "image" {
  description = "Image in SWR, for package = image: swr.eu-west-101.myhuaweicloud.eu/organisation/unmirror:0.1.0."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^swr\\.[^/]+/.+[:@].+$", var.image))
    error_message = "An image in SWR (it begins with swr.), with a tag or, better, a digest."
  }
}

variable "memory" {
  description = "MB. More memory is also more CPU, and a quicker start."
  type        = number
  default     = 256

  validation {
    condition     = contains([128, 256, 512, 768, 1024], var.memory)
    error_message = "128, 256, 512, 768 or 1024."
  }
}

variable "timeout" {
  description = "Seconds for one event. The function gives up five seconds earlier and asks for a redelivery."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout >= 15 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "15 to 900 whole seconds."
  }
}

variable "max_instances" {
  description = "Most instances at a time; 0 switches the function off. Few instances share listings, many repeat them: see deploy/SCALING.md."
  type        = number
  default     = 4

  validation {
    condition     = var.max_instances >= 0 && var.max_instances <= 400 && floor(var.max_instances) == var.max_instances
    error_message = "0 to 400."
  }
}

variable "concurrency" {
  description = "Events that one instance of the image takes at a time, and so how many share a batch. A zip takes one: its deletions are not batched."
  type        = number
  default     = 32

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 200 && floor(var.concurrency) == var.concurrency
    error_message = "1 to 200."
  }
}

variable "settings" {
  description = "Further settings by their names, such as UNMIRROR_PROTECT = \"forensics-*\". The function refuses to start with a wrong one."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "UNMIRROR_PROTECT", "UNMIRROR_SNAPSHOT_MAX_AGE", "UNMIRROR_SWEEP_LIMIT", "UNMIRROR_VPC_ENDPOINT",
      "UNMIRROR_SMN_CERTIFICATES", "UNMIRROR_SMN_DOMAINS", "UNMIRROR_SMN_TOPICS",
      "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
      "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_METRICS_EXPORTER", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED",
      "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER",
    ])) == 0
    error_message = "Settings of the function that are neither secret nor set from a variable of their own."
  }
}

variable "secrets" {
  description = "Settings that are stored encrypted, and stand in Terraform's state: keys where the agency's do not reach the image, a collector's headers."
  type        = map(string)
  default     = {}
  sensitive   = true

  validation {
    condition = length(setsubtract(keys(var.secrets), [
      "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SECURITY_TOKEN", "HUAWEICLOUD_SDK_SK", "OTEL_EXPORTER_OTLP_HEADERS",
      "UNMIRROR_BEARER_TOKENS", "UNMIRROR_WEBHOOK_SECRETS",
    ])) == 0
    error_message = "Settings of the function that are secret."
  }
}

variable "checks" {
  description = "Whether to compare runtime and operations with the region's own lists at each plan; a difference is a warning. false where the lists cannot be read."
  type        = bool
  default     = true
}

# --- what it may do ---------------------------------------------------------------------------------------------

variable "policy_version" {
  description = "1.1: a policy granted in the project. 5.0: an identity policy, which has condition keys and holds in the whole account."
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

# --- when it runs -----------------------------------------------------------------------------------------------

variable "sweep_every" {
  description = "How often all sessions are looked through for what no event told: 30m, 1h, 1d."
  type        = string
  default     = "1h"

  validation {
    condition     = can(regex("^([1-9]|[1-5][0-9]|60)m$|^([1-9]|1[0-9]|2[0-4])h$|^([1-9]|[12][0-9]|30)d$", var.sweep_every))
    error_message = "1m to 60m, 1h to 24h, or 1d to 30d."
  }
}

variable "retries" {
  description = "How often FunctionGraph calls again when the function asks for it. 3 is the most that it offers."
  type        = number
  default     = 3

  validation {
    condition     = contains([0, 1, 2, 3], var.retries)
    error_message = "0 to 3."
  }
}

variable "eventgrid" {
  description = "true: also subscribe to EventGrid, which retries for longer. What comes twice is done once."
  type        = bool
  default     = false
}

variable "eventgrid_agency" {
  description = "The agency by which EventGrid may call functions; the console makes it with the first subscription."
  type        = string
  default     = "EG_TARGET_AGENCY"
}

variable "webhook" {
  description = "An API of a dedicated gateway of yours, for callers outside of the cloud. null: none."
  type = object({
    instance_id = string
    group_id    = string
    domain      = string
    path        = optional(string, "/unmirror")
    auth        = optional(string, "APP")
  })
  default = null

  validation {
    condition     = var.webhook == null || contains(["APP", "IAM"], try(var.webhook.auth, ""))
    error_message = "APP or IAM: the function trusts the gateway, so the gateway has to know its callers."
  }
}

# --- what remains of it -----------------------------------------------------------------------------------------

variable "failure_bucket" {
  description = "An OBS bucket of yours that takes events whose retries are used up, to be replayed. null: an SMN topic is made."
  type        = string
  default     = null
}

variable "failure_email" {
  description = "Address that is told of failed events through the SMN topic. It has to be confirmed by its owner."
  type        = string
  default     = null

  validation {
    condition     = var.failure_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.failure_email))
    error_message = "An e-mail address."
  }
}

variable "log_stream" {
  description = "A log stream of yours that takes the function's lines. null: a group and a stream of the function's name are made."
  type = object({
    group_id    = string
    group_name  = string
    stream_id   = string
    stream_name = string
  })
  default = null
}

variable "log_days" {
  description = "Days for which the log group that is made keeps its lines."
  type        = number
  default     = 30

  validation {
    condition     = var.log_days >= 1 && var.log_days <= 365 && floor(var.log_days) == var.log_days
    error_message = "1 to 365."
  }
}

variable "alarm" {
  description = "Rings when lines of level error or critical are in the log: keywords are phrases as LTS searches for them. action_rule is an alarm action rule of yours that says who is told; without it the alarm is only shown in the console. null: no alarm."
  type = object({
    keywords    = optional(string, "#\"level\\\":\\\"error\" OR #\"level\\\":\\\"critical\"")
    action_rule = optional(string)
  })
  default = {}
}
