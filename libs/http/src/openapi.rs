//! The parts of the OpenAPI document that all services share.

use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

/// A document to collect routes in: title, and the `bearer` scheme that signed-in routes name.
pub fn document() -> OpenApi {
    let mut components = Components::new();
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
    );
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Grafikarsa").version("1").build())
        .components(Some(components))
        .build()
}
