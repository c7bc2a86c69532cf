# A project has a name, by which IAM grants, and an id, by which the API is called: each is looked up by the other.
data "huaweicloud_identity_projects" "own" {
  name       = var.project_id == null ? coalesce(var.project_name, var.region) : null
  project_id = var.project_id

  lifecycle {
    precondition {
      condition     = var.project_id == null || var.project_name == null
      error_message = "project_id or project_name, not both."
    }
    postcondition {
      condition     = length([for project in self.projects : project if project.enabled]) == 1
      error_message = "The account has no such project, or has it disabled."
    }
    postcondition {
      condition     = alltrue([for project in self.projects : startswith(project.name, var.region)])
      error_message = "The project belongs to another region: a project's name begins with its region's."
    }
  }
}

data "huaweicloud_identity_projects" "further" {
  for_each = var.further_projects

  name = each.key

  lifecycle {
    postcondition {
      condition     = length(self.projects) == 1 && startswith(each.key, var.region)
      error_message = "The account has no such project in this region."
    }
  }
}

locals {
  project = one(data.huaweicloud_identity_projects.own.projects)

  project_ids = concat(
    [local.project.id],
    [for name in sort(tolist(var.further_projects)) : one(data.huaweicloud_identity_projects.further[name].projects).id],
  )

  # Agencies and policies are global in an account; a project's name begins with its region's and is its own.
  global_name = "${var.name}-${local.project.name}"
}
