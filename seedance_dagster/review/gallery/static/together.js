"use strict";

const DRIFT_S = 0.1;

/** Play videos in sync, from their beginning; return true once they run, and false if one cannot be played. */
async function playTogether(videos) {
  const ready = (video) => new Promise((resolve) => {
    if (video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) resolve();
    video.addEventListener("canplay", resolve, { once: true });
    video.addEventListener("error", resolve, { once: true });
  });
  await Promise.all(videos.map(ready));
  for (const video of videos) video.currentTime = 0;
  await Promise.all(videos.map((video) => video.play().catch(() => {})));
  const [first, ...others] = videos;
  first.ontimeupdate = () => {
    for (const video of others) {
      // One video may have started its loop again before the other: that is no drift.
      const apart = Math.abs(video.currentTime - first.currentTime);
      const drift = Math.min(apart, Math.max(first.duration - apart, 0));
      if (drift > DRIFT_S && !video.seeking) video.currentTime = first.currentTime;
    }
  };
  return videos.every((video) => !video.error);
}
