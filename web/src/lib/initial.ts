import type { Instance, Video } from '$/api/types';

/** What the server may put into the page to save a round trip; always the signed-out view. */
interface InitialData {
  instance?: Instance;
  video?: Video;
}

let data: InitialData | undefined;

function read(): InitialData {
  const element = document.getElementById('djstream-data');
  if (!element?.textContent) return {};
  try {
    return JSON.parse(element.textContent) as InitialData;
  } catch {
    return {};
  }
}

/** The embedded instance document, if there is one. */
export function initialInstance(): Instance | undefined {
  data ??= read();
  return data.instance;
}

/** The embedded video, if it is the one asked for. It is given once: later visits ask the server. */
export function takeInitialVideo(id: string): Video | undefined {
  data ??= read();
  const video = data.video?.id === id ? data.video : undefined;
  if (video) delete data.video;
  return video;
}
