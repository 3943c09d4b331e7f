//! The media helper alone, so that this crate's tests can confine ffmpeg without the whole program.

fn main() {
    video::media::sandbox::helper_main(std::env::args_os().skip(2).collect())
}
