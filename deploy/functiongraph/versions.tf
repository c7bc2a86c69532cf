terraform {
  required_version = ">= 1.5.0" # check blocks, strcontains

  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.95.0, < 2.0.0" # 1.95.0: identity policies can be attached to agencies
    }
  }
}
