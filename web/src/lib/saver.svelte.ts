/** What is to be put into a playlist. */
export interface Savable {
  id: string;
  title: string;
}

/** Which film the 'save to playlist' dialog is about; the layout holds the one dialog. */
class Saver {
  video = $state.raw<Savable>();

  open(video: Savable): void {
    this.video = video;
  }

  close(): void {
    this.video = undefined;
  }
}

export const saver = new Saver();
