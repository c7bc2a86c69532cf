# The same traces as CloudEvents, by EventGrid. Optional, beside the CTS trigger: what arrives twice is done once.
# No filter on data: its layout for these events is not documented, and a wrong path would drop them in silence.
locals {
  eventgrid_services = var.eventgrid ? toset(["BMS", "ELB", "VPC"]) : toset([])
}

data "huaweicloud_eg_event_channels" "default" {
  count = var.eventgrid ? 1 : 0

  region        = var.region
  provider_type = "OFFICIAL"
  name          = "default"
}

resource "huaweicloud_eg_event_subscription" "traces" {
  for_each = local.eventgrid_services

  region      = var.region
  channel_id  = one(data.huaweicloud_eg_event_channels.default[*].channels[0].id)
  name        = "${var.name}-${lower(each.key)}"
  description = "Traces of ${each.key} for ${var.name}"

  sources {
    id            = uuidv5("url", "unmirror/source/${each.key}")
    provider_type = "OFFICIAL"
    name          = "HC.${each.key}"
    filter_rule = jsonencode({
      source = [{ op = "StringIn", values = ["HC.${each.key}"] }]
      type = [{
        op     = "StringIn"
        values = [for kind in ["ApiCall", "ConsoleAction", "SystemAction"] : "${each.key}:CloudTrace:${kind}"]
      }]
    })
  }

  targets {
    id            = uuidv5("url", "unmirror/target/${each.key}")
    provider_type = "OFFICIAL"
    name          = "HC.FunctionGraph"
    detail_name   = "detail"
    detail = jsonencode({
      urn         = huaweicloud_fgs_function.unmirror.urn
      invoke_type = "ASYNC"
      agency_name = var.eventgrid_agency
    })
    transform = jsonencode({ type = "ORIGINAL", value = "" })
  }

  lifecycle {
    ignore_changes = [sources, targets] # the API reads them back with fields of its own
  }
}
