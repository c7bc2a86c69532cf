# Warnings at plan time: what a region offers is known only there. The lists are no part of the checks themselves,
# because a data source within a check is read again at each apply, and so every plan would have a change.
data "huaweicloud_fgs_runtime_types" "offered" {
  count = var.checks ? 1 : 0

  region = var.region
}

data "huaweicloud_cts_operations" "recorded" {
  count = var.checks ? 1 : 0

  region = var.region
}

locals {
  runtime  = local.is_image ? "Custom Image" : var.runtime
  runtimes = flatten(data.huaweicloud_fgs_runtime_types.offered[*].types[*].type)

  wanted = flatten([for resource, names in local.operations : [for name in names : "${resource}:${name}"]])
  recorded = [
    for known in flatten(data.huaweicloud_cts_operations.recorded[*].operations) :
    [for name in known.operation_list : lower("${known.service_type}:${known.resource_type}:${name}")]
  ]
  unrecorded = [for each in local.wanted : each if var.checks && !contains(flatten(local.recorded), lower(each))]
}

check "runtime_is_offered" {
  assert {
    condition     = !var.checks || contains(local.runtimes, local.runtime)
    error_message = "The region does not list the runtime ${local.runtime}. Take another runtime, or the image."
  }
}

check "operations_are_recorded" {
  assert {
    condition     = length(local.unrecorded) == 0
    error_message = "CTS of this region does not list ${join(", ", local.unrecorded)}. Such deletions are found by the sweep."
  }
}
