//! Tokens and groups: what is asked stands in path and query.

use axum::extract::RawPathParams;
use axum::http::request::Parts;
use syncline::call::{Call, Refusal};
use syncline::id::{GroupId, TokenId};
use syncline::limits;

use super::ask::{param, query};
use super::problem::no_such_route;
use super::query::{GrantQuery, NoQuery, PageQuery};
use crate::route::Route;

/// The call a request without a body stands for.
pub(super) fn read(route: Route, params: &RawPathParams, parts: &Parts) -> Result<Call, Refusal> {
    match route {
        Route::Tokens => {
            let PageQuery::<TokenId> { after, limit } = query(parts)?;
            return Ok(Call::Tokens { after, limit: limit.unwrap_or(limits::LIST_ITEMS_MAX) });
        }
        Route::Groups => {
            let PageQuery::<GroupId> { after, limit } = query(parts)?;
            return Ok(Call::Groups { after, limit: limit.unwrap_or(limits::LIST_ITEMS_MAX) });
        }
        Route::Grant => {
            let GrantQuery { access } = query(parts)?;
            let (group, log) = (param(params, "id")?, param(params, "log")?);
            return Ok(Call::SetGrant { group, log, access: Some(access) });
        }
        _ => {}
    }
    let NoQuery {} = query(parts)?;
    let member = |member| {
        let (group, token) = (param(params, "id")?, param(params, "member")?);
        Ok(Call::SetMember { group, token, member })
    };
    match route {
        Route::RotateToken => Ok(Call::RotateToken(param(params, "id")?)),
        Route::DeleteGroup => Ok(Call::DeleteGroup(param(params, "id")?)),
        Route::JoinGroup => member(true),
        Route::LeaveGroup => member(false),
        Route::EndGrant => Ok(Call::SetGrant { group: param(params, "id")?, log: param(params, "log")?, access: None }),
        _ => Err(no_such_route()),
    }
}
