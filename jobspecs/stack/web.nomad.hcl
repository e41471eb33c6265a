job "web" {
  group "web" {
    update {
      min_healthy_time = "1s"
    }

    task "web" {
      driver = "raw_exec"

      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }

      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}
