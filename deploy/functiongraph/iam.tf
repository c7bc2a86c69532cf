module "agency" {
  source = "./modules/agency"

  name              = local.global_name
  projects          = setunion([local.project.name], var.further_projects)
  policy_version    = var.policy_version
  removal_condition = var.removal_condition
}

# What FunctionGraph may do around the function.
locals {
  keeps_failures = var.failure_bucket != null

  around = concat(
    # A CTS trigger is a notification of CTS. One manual asks for an agency that may use CTS, others for none.
    ["cts:notification:create", "cts:notification:delete", "cts:notification:update", "cts:operation:list", "cts:tracker:list"],
    local.keeps_failures ? [] : ["smn:topic:list", "smn:topic:publish"],
    var.vpc == null ? [] : [
      "vpc:ports:create", "vpc:ports:delete", "vpc:ports:get", "vpc:securityGroups:get", "vpc:subnets:get", "vpc:vpcs:get",
    ],
  )
}

resource "huaweicloud_identity_role" "configuration" {
  name        = "${local.global_name}-configuration"
  description = "Use CTS, hand over events that failed, reach a VPC"
  type        = "XA"
  policy = jsonencode({
    Version   = "1.1"
    Statement = [{ Effect = "Allow", Action = local.around }]
  })
}

resource "huaweicloud_identity_role" "failures" {
  count = local.keeps_failures ? 1 : 0

  name        = "${local.global_name}-failures"
  description = "Put events that failed into a bucket"
  type        = "AX"
  policy = jsonencode({
    Version = "1.1"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["obs:bucket:CreateBucket", "obs:bucket:HeadBucket"] # the console asks for both, for a bucket that exists
        Resource = ["OBS:*:*:bucket:${var.failure_bucket}"]
      },
      {
        Effect   = "Allow"
        Action   = ["obs:object:PutObject"]
        Resource = ["OBS:*:*:object:${var.failure_bucket}/*"]
      },
    ]
  })
}

resource "huaweicloud_identity_agency" "configuration" {
  name                   = "${local.global_name}-configuration"
  description            = "Lets FunctionGraph use CTS, hand over failed events and pull the image"
  delegated_service_name = "op_svc_cff"
  all_resources_roles    = local.keeps_failures ? huaweicloud_identity_role.failures[*].name : null

  project_role {
    project = local.project.name
    roles = concat(
      [huaweicloud_identity_role.configuration.name],
      local.is_image ? ["SWR Admin"] : [], # the least that lets a function pull its image
    )
  }

  lifecycle {
    precondition {
      condition     = length(local.global_name) <= 50
      error_message = "name and the project's name are too long for an agency's name: 50 letters with the hyphen between them."
    }
  }
}
