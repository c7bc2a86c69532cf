locals {
  # The operations that the function acts on, by service and resource type as CTS spells them.
  operations = {
    "VPC:ports" = ["deletePort"]
    "ECS:ecs" = [
      "changeVpc", "deleteNic", "delNic", "deleteServer", "deleteServerV2", "deleteServerV21", "deleteSingleServer",
      "deleteVmByNative",
    ]
    "ECS:server"       = ["interruptServer"]
    "BMS:bms"          = ["deleteBareMetalServers"]
    "ELB:loadbalancer" = ["deleteLoadbalancer"]
  }

  triggers = merge(
    {
      # One for all: a trigger takes ten services with ten operations each, and a project ten triggers of CTS.
      deletions = {
        type = "CTS"
        data = { operations = [for resource, names in local.operations : "${resource}:${join(";", names)}"] }
      }
      sweep = {
        type = "TIMER"
        data = { schedule_type = "Rate", schedule = var.sweep_every, user_event = "{}" }
      }
    },
    var.webhook == null ? {} : {
      webhook = {
        type = "DEDICATEDGATEWAY"
        data = {
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
        }
      }
    },
  )
}

resource "huaweicloud_fgs_function_trigger" "unmirror" {
  for_each = local.triggers

  region       = var.region
  function_urn = huaweicloud_fgs_function.unmirror.urn
  type         = each.value.type
  event_data   = jsonencode(merge({ name = "unmirror_${each.key}" }, each.value.data))

  # The API adds members of its own to event_data and updates hardly any: a change of ours makes another trigger.
  lifecycle {
    ignore_changes       = [event_data]
    replace_triggered_by = [terraform_data.trigger[each.key]]
  }
}

resource "terraform_data" "trigger" {
  for_each = local.triggers

  input = each.value.data
}
