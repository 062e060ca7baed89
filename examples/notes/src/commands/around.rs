//! What stands beside notes: one small use of every other type of value.
//!
//! What must hold: each line is one edit of one value, so that nobody else's is overwritten by it.

use serde_json::{Value, json};
use syncline_desk::{Fault, Said};

use crate::book::Book;

fn done(reply: &str, note: &str, key: &str, value: Value) -> Said {
    let text = format!("{note}: {key} {value}");
    let mut json = json!({ "reply": reply, "note": note });
    json[key] = value;
    Said::new(json, text)
}

/// Counts.
pub(super) async fn like(book: &Book, name: &str, by: i64) -> Result<Said, Fault> {
    let likes = book.likes(name)?;
    likes.add(by).await?;
    Ok(done("like", name, "likes", likes.get().await?.into()))
}

/// Adds a tag.
pub(super) async fn tag(book: &Book, name: &str, tag: &str) -> Result<Said, Fault> {
    let tags = book.tags(name)?;
    tags.add(tag).await?;
    Ok(done("tag", name, "tags", tags.get::<Value>().await?.into()))
}

/// Takes a tag away, as it is seen here.
pub(super) async fn untag(book: &Book, name: &str, tag: &str) -> Result<Said, Fault> {
    let tags = book.tags(name)?;
    tags.remove(tag).await?;
    Ok(done("untag", name, "tags", tags.get::<Value>().await?.into()))
}

/// Adds a note to the end of the favourites, unless it is among them.
pub(super) async fn star(book: &Book, name: &str) -> Result<Said, Fault> {
    let stars = book.stars()?;
    if !stars.get::<String>().await?.iter().any(|star| star == name) {
        stars.push(name).await?;
    }
    Ok(done("star", name, "stars", stars.get::<Value>().await?.into()))
}

/// Takes a note out of the favourites.
pub(super) async fn unstar(book: &Book, name: &str) -> Result<Said, Fault> {
    let stars = book.stars()?;
    if let Some(index) = stars.get::<String>().await?.iter().position(|star| star == name) {
        stars.remove(index, 1).await?;
    }
    Ok(done("unstar", name, "stars", stars.get::<Value>().await?.into()))
}

/// Moves a favourite.
pub(super) async fn move_star(book: &Book, from: usize, to: usize) -> Result<Said, Fault> {
    let stars = book.stars()?;
    stars.move_to(from, to).await?;
    Ok(done("move", "stars", "stars", stars.get::<Value>().await?.into()))
}

/// Puts a note under another one, behind those that are there; without one, beside the topmost.
pub(super) async fn put(book: &Book, name: &str, under: Option<&str>) -> Result<Said, Fault> {
    let outline = book.outline()?;
    let parent = match under {
        None => None,
        Some(under) => {
            let node = book.node(under).await?;
            Some(node.ok_or_else(|| Fault::new(format!("{under:?} is not in the outline; put it there first")))?)
        }
    };
    let nodes = outline.nodes().await?;
    let node = book.node(name).await?;
    let beside = nodes.iter().filter(|other| other.parent == parent && Some(other.id) != node).count();
    match node {
        Some(node) => outline.move_to(node, parent, beside).await?,
        None => outline.insert(parent, beside, name).await?,
    };
    Ok(done("put", name, "under", under.into()))
}

/// Says what a note is called.
pub(super) async fn title(book: &Book, name: &str, title: &str) -> Result<Said, Fault> {
    book.title(name)?.set(title).await?;
    Ok(done("title", name, "title", title.into()))
}

/// Says a fact.
pub(super) async fn set(book: &Book, name: &str, field: &str, value: &str) -> Result<Said, Fault> {
    if field == "name" {
        return Err(Fault::new("the name says which note it is; `title` says what it is called"));
    }
    book.about(name)?.set(&[field], value).await?;
    Ok(done("set", name, field, value.into()))
}
