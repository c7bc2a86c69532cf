# What the function itself may do, and nothing else: wherever it runs, it makes these calls.
locals {
  reads = ["vpc:ports:get", "vpc:trafficMirrorSessions:get", "vpc:trafficMirrorSessions:list"]

  policies = {
    # vpc:ports:get covers the list as well; version 1.1 knows no vpc:ports:list, and IAM refuses unknown actions.
    "1.1" = [{ Effect = "Allow", Action = concat(local.reads, ["vpc:trafficMirrorSessions:removeSource"]) }]
    "5.0" = [
      { Effect = "Allow", Action = concat(local.reads, ["vpc:ports:list"]) },
      merge(
        { Effect = "Allow", Action = ["vpc:trafficMirrorSessions:removeSource"] },
        length(var.removal_condition) > 0 ? { Condition = var.removal_condition } : {},
      ),
    ]
  }

  policy = jsonencode({ Version = var.policy_version, Statement = local.policies[var.policy_version] })
}

resource "huaweicloud_identity_role" "execution" {
  count = var.policy_version == "1.1" ? 1 : 0

  name        = "${var.name}-execution"
  description = "Look at traffic mirror sessions and interfaces, remove sources of sessions"
  type        = "XA"
  policy      = local.policy
}

resource "huaweicloud_identityv5_policy" "execution" {
  count = var.policy_version == "5.0" ? 1 : 0

  name            = "${var.name}-execution"
  description     = "Look at traffic mirror sessions and interfaces, remove sources of sessions"
  policy_document = local.policy
}

# Granted for whole projects: an enterprise project's grant does not reach traffic mirror sessions.
resource "huaweicloud_identity_agency" "execution" {
  name                   = "${var.name}-execution"
  description            = "Lets the function clean traffic mirror sessions"
  delegated_service_name = var.service

  dynamic "project_role" {
    for_each = var.policy_version == "1.1" ? var.projects : []

    content {
      project = project_role.value
      roles   = huaweicloud_identity_role.execution[*].name
    }
  }
}

resource "huaweicloud_identityv5_policy_agency_attach" "execution" {
  count = var.policy_version == "5.0" ? 1 : 0

  agency_id = huaweicloud_identity_agency.execution.id
  policy_id = one(huaweicloud_identityv5_policy.execution[*].id)
}
