locals {
  makes_log_stream = var.log_stream == null

  log_stream = local.makes_log_stream ? {
    group_id    = one(huaweicloud_lts_group.unmirror[*].id)
    group_name  = one(huaweicloud_lts_group.unmirror[*].group_name)
    stream_id   = one(huaweicloud_lts_stream.unmirror[*].id)
    stream_name = one(huaweicloud_lts_stream.unmirror[*].stream_name)
  } : var.log_stream
}

resource "huaweicloud_lts_group" "unmirror" {
  count = local.makes_log_stream ? 1 : 0

  region                = var.region
  group_name            = var.name
  ttl_in_days           = var.log_days
  enterprise_project_id = var.enterprise_project_id
  tags                  = var.tags
}

resource "huaweicloud_lts_stream" "unmirror" {
  count = local.makes_log_stream ? 1 : 0

  region                = var.region
  group_id              = one(huaweicloud_lts_group.unmirror[*].id)
  stream_name           = var.name
  enterprise_project_id = var.enterprise_project_id
  tags                  = var.tags
}

# Every five minutes, over the last five: one line with level error or critical is something to act on.
resource "huaweicloud_lts_keywords_alarm_rule" "errors" {
  count = var.alarm == null ? 0 : 1

  region                 = var.region
  name                   = "${var.name}-errors"
  description            = "The function has written lines of level error or critical"
  alarm_level            = "MAJOR"
  send_notifications     = var.alarm.action_rule != null
  alarm_action_rule_name = var.alarm.action_rule

  keywords_requests {
    keywords               = var.alarm.keywords
    condition              = ">="
    number                 = 1
    log_group_id           = local.log_stream.group_id
    log_stream_id          = local.log_stream.stream_id
    search_time_range      = 5
    search_time_range_unit = "minute"
  }

  frequency {
    type            = "FIXED_RATE"
    fixed_rate      = 5
    fixed_rate_unit = "minute"
  }
}
