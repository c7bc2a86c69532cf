terraform {
  required_version = ">= 1.5.0" # check blocks

  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.78.1, < 2.0.0" # 1.78.1: triggers, data sources and EventGrid subscriptions as they are used here
    }
  }
}

# Keys come from HW_ACCESS_KEY, HW_SECRET_KEY and HW_SECURITY_TOKEN, or a profile. Never write them here.
provider "huaweicloud" {
  region = var.region
}
