# Run by two hooks with different words. The ID is not used: a hook runs under a name of its own.

variable "says" {
  type = string
}

job "hook" {
  type = "batch"

  group "hook" {
    # Retries are the hook's business.
    restart {
      attempts = 0
      mode     = "fail"
    }

    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "hook" {
      driver = "raw_exec"

      config {
        command = "/bin/echo"
        args    = [var.says]
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
