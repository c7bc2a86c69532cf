locals {
  is_image = var.package == "image"
  zip      = coalesce(var.zip, "${path.module}/unmirror.zip")

  settings = merge(
    var.settings,
    {
      HUAWEICLOUD_SDK_PROJECT_ID = local.project.id
      UNMIRROR_REGION            = var.region
      UNMIRROR_DRY_RUN           = var.dry_run ? "1" : "0"
      UNMIRROR_DEADLINE          = tostring(var.timeout - 5)
    },
    length(local.project_ids) > 1 ? { UNMIRROR_PROJECTS = join(",", local.project_ids) } : {},
    # Who reaches the image's port was let in by the platform; the zip is called by the platform itself.
    local.is_image ? { UNMIRROR_TRUST = "platform", THREADS = tostring(var.concurrency) } : {},
  )
}

resource "huaweicloud_fgs_function" "unmirror" {
  region                = var.region
  name                  = var.name
  description           = "Takes deleted network interfaces out of traffic mirror sessions"
  app                   = "default"
  functiongraph_version = "v2"
  enterprise_project_id = var.enterprise_project_id

  runtime             = local.runtime
  code_type           = local.is_image ? "Custom-Image-Swr" : "zip"
  handler             = local.is_image ? "-" : "index.handler"
  initializer_handler = local.is_image ? null : "index.initializer"
  initializer_timeout = local.is_image ? null : 30
  func_code           = local.is_image ? null : filebase64(local.zip)
  code_filename       = local.is_image ? null : basename(local.zip)

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
  app_agency            = module.agency.name
  enable_auth_in_header = local.is_image ? true : null

  vpc_id     = try(var.vpc.vpc_id, null)
  network_id = try(var.vpc.subnet_id, null)

  user_data           = jsonencode(local.settings)
  encrypted_user_data = length(var.secrets) > 0 ? jsonencode(var.secrets) : null

  enable_lts_log  = true
  log_group_id    = local.log_stream.group_id
  log_group_name  = local.log_stream.group_name
  log_stream_id   = local.log_stream.stream_id
  log_stream_name = local.log_stream.stream_name

  tags = var.tags

  lifecycle {
    precondition {
      condition     = !local.is_image || var.image != null
      error_message = "package = image needs image."
    }
    precondition {
      condition     = length(local.settings) <= 20 && length(jsonencode(local.settings)) <= 4096
      error_message = "FunctionGraph takes 20 settings of 4 KB in all."
    }
    postcondition {
      condition     = strcontains(self.urn, ":${var.region}:${local.project.id}:")
      error_message = "The provider works in another project: give its block the module's region, and its project_name for a sub-project."
    }
  }
}

# An answer by which the function asks for a redelivery becomes one, and what fails to the end is handed over.
resource "huaweicloud_fgs_async_invoke_configuration" "unmirror" {
  region                         = var.region
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

  region                = var.region
  name                  = "${var.name}-failures"
  display_name          = "Events that ${var.name} could not finish"
  enterprise_project_id = var.enterprise_project_id
  tags                  = var.tags
}

resource "huaweicloud_smn_subscription" "failures" {
  count = local.keeps_failures || var.failure_email == null ? 0 : 1

  region    = var.region
  topic_urn = one(huaweicloud_smn_topic.failures[*].topic_urn)
  protocol  = "email"
  endpoint  = var.failure_email
  remark    = "Events that ${var.name} could not finish"
}
