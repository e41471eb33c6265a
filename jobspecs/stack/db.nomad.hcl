variable "seconds" {
  type = number
}

job "db" {
  group "db" {
    update {
      min_healthy_time = "1s"
    }

    task "db" {
      driver = "raw_exec"

      config {
        command = "/bin/sleep"
        args    = [var.seconds]
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
