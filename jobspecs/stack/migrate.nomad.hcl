# Runs each time that it is dispatched.

job "migrate" {
  type = "batch"

  parameterized {
    payload       = "optional"
    meta_required = ["release"]
  }

  group "migrate" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "migrate" {
      driver = "raw_exec"

      dispatch_payload {
        file = "payload"
      }

      config {
        command = "/bin/echo"
        args    = ["migrated to ${NOMAD_META_release}"]
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
