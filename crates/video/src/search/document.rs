//! What search and recommendations need to know of a video, and where they get it.

use proto::VideoId;
use proto::events::VideoProfile;

/// A video with its texts, whatever its privacy and state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// The video as every service knows it.
    pub profile: VideoProfile,
    /// Plain text.
    pub description: String,
    /// Tags as written.
    pub tags: Vec<String>,
    /// One of the instance's categories, or empty.
    pub category: String,
    /// BCP 47, or empty.
    pub language: String,
    /// The channel's name to show.
    pub channel_name: String,
    /// The channel's name in addresses.
    pub channel_handle: String,
    /// How often it was viewed.
    pub views: u64,
    /// How many like it.
    pub likes: u64,
    /// How many dislike it.
    pub dislikes: u64,
}

/// The videos of this instance, as the service's tables have them.
pub(crate) trait Library: Send + Sync + 'static {
    /// One video; `None` when it is gone.
    fn document(&self, id: VideoId) -> Result<Option<Document>, store::ReadError>;

    /// At most `limit` videos in the order of their ids, after `after`.
    fn documents(&self, after: Option<VideoId>, limit: usize) -> Result<Vec<Document>, store::ReadError>;
}
