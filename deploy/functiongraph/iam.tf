# What the function itself may do; nothing else is ever called.
resource "huaweicloud_identity_role" "execution" {
  name        = "${var.name}-execution"
  description = "Look at traffic mirror sessions and interfaces, remove sources of sessions"
  type        = "XA"
  policy = jsonencode({
    Version = "1.1"
    Statement = [{
      Effect = "Allow"
      Action = [
        "vpc:ports:get",
        "vpc:ports:list",
        "vpc:trafficMirrorSessions:get",
        "vpc:trafficMirrorSessions:list",
        "vpc:trafficMirrorSessions:removeSource",
      ]
    }]
  })
}

# Granted for the whole project: an enterprise project's grant does not reach traffic mirror sessions.
resource "huaweicloud_identity_agency" "execution" {
  name                   = "${var.name}-execution"
  description            = "Lets the function clean traffic mirror sessions"
  delegated_service_name = "op_svc_cff"

  project_role {
    project = var.region
    roles   = [huaweicloud_identity_role.execution.name]
  }
}

# What FunctionGraph may do around the function: hand failed events over, and pull the image.
resource "huaweicloud_identity_role" "failures" {
  name        = "${var.name}-failures"
  description = "Hand over events that failed"
  type        = local.keeps_failures ? "AX" : "XA"
  policy = jsonencode({
    Version   = "1.1"
    Statement = [{ for key, value in local.hand_over : key => value if value != null }]
  })
}

resource "huaweicloud_identity_agency" "configuration" {
  name                   = "${var.name}-configuration"
  description            = "Lets FunctionGraph hand failed events over and pull the image"
  delegated_service_name = "op_svc_cff"
  all_resources_roles    = local.keeps_failures ? [huaweicloud_identity_role.failures.name] : null

  dynamic "project_role" {
    for_each = length(local.configuration_roles) > 0 ? [local.configuration_roles] : []

    content {
      project = var.region
      roles   = project_role.value
    }
  }
}

locals {
  keeps_failures = var.failure_bucket != null

  hand_over = {
    Effect   = "Allow"
    Action   = local.keeps_failures ? ["obs:object:PutObject"] : ["smn:topic:list", "smn:topic:publish"]
    Resource = local.keeps_failures ? ["OBS:*:*:object:${var.failure_bucket}/*"] : null
  }

  configuration_roles = concat(
    local.keeps_failures ? [] : [huaweicloud_identity_role.failures.name],
    local.is_image ? ["SWR Admin"] : [], # the least that lets a function pull its image
  )
}
