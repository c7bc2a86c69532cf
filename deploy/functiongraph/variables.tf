variable "region" {
  description = "Region of the function, its triggers and the sessions that it looks after: eu-west-101."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z0-9]+)+$", var.region))
    error_message = "A region, such as eu-west-101."
  }
}

variable "project_id" {
  description = "Id of the region's project (console: My Credentials, Projects). One deployment serves one project."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{32}$", var.project_id))
    error_message = "A project id: 32 hexadecimal digits, not the project's name."
  }
}

variable "name" {
  description = "Name of the function, and the beginning of all names that are created beside it."
  type        = string
  default     = "unmirror"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", var.name))
    error_message = "2 to 40 lower-case letters, digits and hyphens; a letter first."
  }
}

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
  description = "What build_zip.py made, for package = zip."
  type        = string
  default     = "unmirror.zip"
}

variable "runtime" {
  description = "Runtime of the zip. Build it for the same version: build_zip.py --python 3.12."
  type        = string
  default     = "Python3.12"

  validation {
    condition     = contains(["Python3.10", "Python3.12"], var.runtime)
    error_message = "Python3.12, or Python3.10 where the region has no newer one."
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
  description = "MB. The zip takes about 32 MB when idle, the image 64; more memory is also more CPU, and a quicker start."
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
  description = "Most instances at a time. Few instances share looks, many repeat them: see deploy/SCALING.md."
  type        = number
  default     = 4

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 400 && floor(var.max_instances) == var.max_instances
    error_message = "1 to 400. To switch the function off, disable its triggers."
  }
}

variable "concurrency" {
  description = "Events that one instance of the image takes at a time; also its number of threads. A zip takes one."
  type        = number
  default     = 32

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 200 && floor(var.concurrency) == var.concurrency
    error_message = "1 to 200."
  }
}

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

variable "settings" {
  description = "Further settings by their names: UNMIRROR_PROTECT, UNMIRROR_SWEEP_LIMIT, UNMIRROR_SNAPSHOT_MAX_AGE, UNMIRROR_VPC_ENDPOINT."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "UNMIRROR_PROTECT", "UNMIRROR_SNAPSHOT_MAX_AGE", "UNMIRROR_SWEEP_LIMIT", "UNMIRROR_VPC_ENDPOINT",
    ])) == 0
    error_message = "Only the names in the description: the others are set from variables, and secrets belong into secrets."
  }
}

variable "secrets" {
  description = "Settings that are stored encrypted, and stand in Terraform's state. Needed only where the agency's keys do not reach the image."
  type        = map(string)
  default     = {}
  sensitive   = true

  validation {
    condition = length(setsubtract(keys(var.secrets), [
      "HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK",
    ])) == 0
    error_message = "HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK."
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

variable "tags" {
  description = "Tags of the function."
  type        = map(string)
  default     = {}
}
