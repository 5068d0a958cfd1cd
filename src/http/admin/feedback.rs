//! The operator's verdict on anybody's reply.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::{Admin, AdminError, Body};
use crate::feedback::{Heard, Said, Speaker};

pub(super) async fn hear(
    State(admin): State<Arc<Admin>>,
    Body(said): Body<Said>,
) -> Result<Json<Heard>, AdminError> {
    let now = admin.edge.clock.now();
    let heard = admin
        .edge
        .feedback
        .hear(&said, Speaker::Operator, now)
        .await?;
    Ok(Json(heard))
}
