//! What Nomad asks of every plugin.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::{
    fingerprint::{self, Health},
    pb::base::{
        ConfigSchemaRequest, ConfigSchemaResponse, PluginInfoRequest, PluginInfoResponse, SetConfigRequest,
        SetConfigResponse, base_plugin_server::BasePlugin,
    },
    schema,
    settings::Settings,
    views::Views,
};

/// The base plugin.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) health: watch::Sender<Health>,
    pub(super) views: Arc<Views>,
}

#[tonic::async_trait]
impl BasePlugin for Base {
    async fn plugin_info(
        &self,
        _: Request<PluginInfoRequest>,
    ) -> Result<Response<PluginInfoResponse>, Status> {
        Ok(Response::new(fingerprint::info()))
    }

    async fn config_schema(
        &self,
        _: Request<ConfigSchemaRequest>,
    ) -> Result<Response<ConfigSchemaResponse>, Status> {
        Ok(Response::new(ConfigSchemaResponse { spec: Some(schema::plugin_config()) }))
    }

    /// Never an error: Nomad's agent would not start. Also asked in processes that only validate, so it looks nowhere.
    async fn set_config(
        &self,
        request: Request<SetConfigRequest>,
    ) -> Result<Response<SetConfigResponse>, Status> {
        let request = request.into_inner();
        let (settings, health) = match Settings::from_msgpack(&request.msgpack_config) {
            Ok(settings) => (settings, Health::Healthy),
            Err(why) => {
                warn!(why, "the plugin's configuration is wrong");
                // Tasks that are recovered meanwhile go their own way.
                (Settings::default(), Health::Unhealthy(why))
            }
        };
        if request.nomad_config.is_some() {
            info!(version = super::VERSION, has_credential = settings.nomad.is_some(), "configured");
        }
        self.views.configure(settings);
        self.health.send_if_modified(|current| {
            let has_changed = *current != health;
            *current = health;
            has_changed
        });
        Ok(Response::new(SetConfigResponse {}))
    }
}
