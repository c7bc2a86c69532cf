locals {
  is_image = var.package == "image"

  settings = merge(
    var.settings,
    {
      HUAWEICLOUD_SDK_PROJECT_ID = var.project_id
      UNMIRROR_REGION            = var.region
      UNMIRROR_DRY_RUN           = var.dry_run ? "1" : "0"
      UNMIRROR_DEADLINE          = tostring(var.timeout - 5)
    },
    # Who reaches the image's port was let in by the platform; the zip is called by the platform itself.
    local.is_image ? { UNMIRROR_TRUST = "platform", THREADS = tostring(var.concurrency) } : {},
  )
}

resource "huaweicloud_fgs_function" "unmirror" {
  name                  = var.name
  description           = "Takes deleted network interfaces out of traffic mirror sessions"
  app                   = "default"
  functiongraph_version = "v2"

  runtime             = local.is_image ? "Custom Image" : var.runtime
  code_type           = local.is_image ? "Custom-Image-Swr" : "zip"
  handler             = local.is_image ? "-" : "index.handler"
  initializer_handler = local.is_image ? null : "index.initializer"
  initializer_timeout = local.is_image ? null : 30
  func_code           = local.is_image ? null : filebase64(var.zip)
  code_filename       = local.is_image ? null : basename(var.zip)

  dynamic "custom_image" {
    for_each = local.is_image ? [var.image] : []

    content {
      url = custom_image.value
    }
  }

  memory_size      = var.memory
  timeout          = var.timeout
  max_instance_num = tostring(var.max_instances)
  concurrency_num  = local.is_image ? var.concurrency : null

  agency                = huaweicloud_identity_agency.configuration.name
  app_agency            = huaweicloud_identity_agency.execution.name
  enable_auth_in_header = local.is_image ? true : null

  user_data           = jsonencode(local.settings)
  encrypted_user_data = length(var.secrets) > 0 ? jsonencode(var.secrets) : null

  tags = var.tags

  lifecycle {
    precondition {
      condition     = !local.is_image || var.image != null
      error_message = "package = image needs image."
    }
  }
}

# An answer by which the function asks for a redelivery becomes one, and what fails to the end is handed over.
resource "huaweicloud_fgs_async_invoke_configuration" "unmirror" {
  function_urn                   = huaweicloud_fgs_function.unmirror.urn
  max_async_event_age_in_seconds = 86400
  max_async_retry_attempts       = var.retries
  enable_async_status_log        = true

  on_failure {
    destination = local.keeps_failures ? "OBS" : "SMN"
    param = (
      local.keeps_failures
      ? jsonencode({ bucket = var.failure_bucket, prefix = "${var.name}/failed", expires = 0 })
      : jsonencode({ topic_urn = one(huaweicloud_smn_topic.failures[*].topic_urn) })
    )
  }
}

resource "huaweicloud_smn_topic" "failures" {
  count = local.keeps_failures ? 0 : 1

  name         = "${var.name}-failures"
  display_name = "Events that ${var.name} could not finish"
}

resource "huaweicloud_smn_subscription" "failures" {
  count = local.keeps_failures || var.failure_email == null ? 0 : 1

  topic_urn = one(huaweicloud_smn_topic.failures[*].topic_urn)
  protocol  = "email"
  endpoint  = var.failure_email
  remark    = "Events that ${var.name} could not finish"
}

# A warning at plan time, not an error: the region's own list is the only place that knows.
check "runtime_is_offered" {
  data "huaweicloud_fgs_runtime_types" "offered" {}

  assert {
    condition = contains(
      data.huaweicloud_fgs_runtime_types.offered.types[*].type,
      local.is_image ? "Custom Image" : var.runtime,
    )
    error_message = "The region does not list this runtime. Take another runtime, or the image."
  }
}
