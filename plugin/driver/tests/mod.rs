//! Nomad's side of the conversation, on the real socket. No Nomad answers its API here, so gates wait.

mod exec;
mod host;
mod lifecycle;
mod recovery;

use serde_json::json;
use tonic::Code;

use self::host::Host;
use super::pb::{
    base::{ConfigSchemaRequest, NomadConfig, PluginInfoRequest, PluginType, SetConfigRequest},
    drivers::{
        CapabilitiesRequest, CreateNetworkRequest, DestroyNetworkRequest, FingerprintRequest,
        TaskConfigSchemaRequest, fingerprint_response::HealthState,
    },
};

#[tokio::test]
async fn the_plugin_says_who_it_is_and_what_it_takes() {
    let mut host = Host::start().await;
    let info = host.base.plugin_info(PluginInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.r#type(), PluginType::Driver);
    assert_eq!((info.name.as_str(), info.plugin_version.as_str()), ("dtree", env!("CARGO_PKG_VERSION")));
    assert_eq!(info.plugin_api_versions, ["v0.1.0"]);
    assert!(host.base.config_schema(ConfigSchemaRequest {}).await.unwrap().into_inner().spec.is_some());
    assert!(
        host.driver.task_config_schema(TaskConfigSchemaRequest {}).await.unwrap().into_inner().spec.is_some()
    );
}

#[tokio::test]
async fn the_capabilities_spare_a_log_collector_and_keep_no_group_out() {
    let mut host = Host::start().await;
    let answer = host.driver.capabilities(CapabilitiesRequest {}).await.unwrap().into_inner();
    insta::assert_debug_snapshot!(answer.capabilities.unwrap(), @"
    DriverCapabilities {
        send_signals: true,
        exec: true,
        fs_isolation: Image,
        network_isolation_modes: [
            Host,
            Group,
            Task,
            None,
        ],
        must_create_network: false,
        mount_configs: NoMounts,
        disable_log_collection: true,
        dynamic_workload_users: false,
    }
    ");
}

#[tokio::test]
async fn a_wrong_value_makes_the_driver_unhealthy_and_a_right_one_healthy_again() {
    let mut host = Host::start().await;
    let mut health = host.driver.fingerprint(FingerprintRequest {}).await.unwrap().into_inner();
    assert_eq!(health.message().await.unwrap().unwrap().health(), HealthState::Healthy);

    let config = |value| SetConfigRequest {
        msgpack_config: rmp_serde::to_vec_named(&value).unwrap(),
        nomad_config: Some(NomadConfig::default()),
        ..SetConfigRequest::default()
    };
    host.base.set_config(config(json!({"nomad": {"address": "nomad:4646"}}))).await.unwrap();
    let unhealthy = health.message().await.unwrap().unwrap();
    assert_eq!(unhealthy.health(), HealthState::Unhealthy);
    assert!(unhealthy.health_description.contains("nomad:4646"), "{}", unhealthy.health_description);

    host.base.set_config(config(json!({"nomad": null}))).await.unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().health(), HealthState::Healthy);

    let garbage = SetConfigRequest { msgpack_config: vec![0xc1, 0xff], ..SetConfigRequest::default() };
    host.base.set_config(garbage).await.unwrap();
    assert_eq!(health.message().await.unwrap().unwrap().health(), HealthState::Unhealthy);
}

#[tokio::test]
async fn networks_are_not_made() {
    let mut host = Host::start().await;
    let error = host.driver.create_network(CreateNetworkRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    let error = host.driver.destroy_network(DestroyNetworkRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}
