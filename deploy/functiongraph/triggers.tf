# Every operation of a trace that the function acts on. FunctionGraph takes one CTS trigger for each service.
locals {
  operations = {
    VPC = { resource = "ports", names = ["deletePort"] }
    ECS = {
      resource = "ecs"
      names = [
        "deleteNic", "delNic", "deleteServer", "deleteServerV2", "deleteServerV21", "deleteVmByNative",
        "deleteSingleServer",
      ]
    }
    BMS = { resource = "bms", names = ["deleteBareMetalServers"] }
    ELB = { resource = "loadbalancer", names = ["deleteLoadbalancer"] }
  }
}

resource "huaweicloud_fgs_function_trigger" "cts" {
  for_each = local.operations

  function_urn = huaweicloud_fgs_function.unmirror.urn
  type         = "CTS"
  event_data = jsonencode({
    name       = "unmirror_${lower(each.key)}"
    operations = ["${each.key}:${each.value.resource}:${join(";", each.value.names)}"]
  })
}

# A warning at plan time: which operations a region's CTS records is known only there.
check "operations_are_recorded" {
  data "huaweicloud_cts_operations" "recorded" {}

  assert {
    condition = alltrue([
      for service, operation in local.operations : length(setsubtract(
        operation.names,
        flatten([
          for known in data.huaweicloud_cts_operations.recorded.operations : known.operation_list
          if lower(known.service_type) == lower(service) && lower(known.resource_type) == lower(operation.resource)
        ]),
      )) == 0
    ])
    error_message = "CTS of this region does not list some of the operations. Their deletions are found by the sweep."
  }
}

resource "huaweicloud_fgs_function_trigger" "sweep" {
  function_urn = huaweicloud_fgs_function.unmirror.urn
  type         = "TIMER"
  status       = "ACTIVE"
  event_data = jsonencode({
    name          = "unmirror_sweep"
    schedule_type = "Rate"
    schedule      = var.sweep_every
    user_event    = jsonencode({ project_id = var.project_id })
  })
}

resource "huaweicloud_fgs_function_trigger" "webhook" {
  count = var.webhook == null ? 0 : 1

  function_urn = huaweicloud_fgs_function.unmirror.urn
  type         = "DEDICATEDGATEWAY"
  event_data = jsonencode({
    name        = "unmirror_webhook"
    instance_id = var.webhook.instance_id
    group_id    = var.webhook.group_id
    sl_domain   = var.webhook.domain
    path        = var.webhook.path
    auth        = var.webhook.auth
    type        = 1
    protocol    = "HTTPS"
    req_method  = "POST"
    match_mode  = "NORMAL"
    env_name    = "RELEASE"
    env_id      = "DEFAULT_ENVIRONMENT_RELEASE_ID"
    func_info   = { timeout = min(var.timeout, 60) * 1000, invocation_type = "sync", version = "latest" }
  })
}
