//! The smallest service there is: one resource for the gateway, and nothing inside.

use std::process::ExitCode;

use chassis::{Access, Assembly, Configure, Edge, Platform, Service, Settings, StartError, get};

struct Config {
    greeting: String,
}

impl Configure for Config {
    fn configure(settings: &mut Settings) -> Self {
        Self { greeting: settings.required_text("GREETING", "what to say, such as hello") }
    }
}

async fn build(config: Config, platform: Platform) -> Result<Service, StartError> {
    let http = Edge::new().route("/greeting", get(Access::Anybody, async move || config.greeting));
    Assembly { http, ..Assembly::new(&platform.trust_domain) }.bind(&platform).await
}

fn main() -> ExitCode {
    chassis::main("greeting-service", build)
}
