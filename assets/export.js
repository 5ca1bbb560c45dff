/* The Export menus of the Edit tab: the clip that is shown, or the project, as another kind of file. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, attempt, toast } = studio;
  const FORMATS = [
    { name: "webm", title: "WebM", what: "VP9 and Opus, for the web", fits: () => true },
    { name: "webm-av1", title: "WebM, AV1", what: "AV1 and Opus, for newer browsers", fits: (clip) => clip.has_video },
    { name: "mp4-hevc", title: "MP4, H.265", what: "About half the size", fits: (clip) => clip.has_video },
    { name: "gif", title: "GIF", what: "Picture only, plays in a loop", fits: (clip) => clip.has_video },
    { name: "png", title: "PNG pictures", what: "Every frame without loss, in a ZIP", fits: (clip) => clip.has_video },
    { name: "wav", title: "WAV", what: "The sound alone", fits: (clip) => clip.has_audio },
    { name: "srt", title: "SRT captions", what: "What happens when, from the prompt", fits: (clip) => /\[\s*\d/.test(clip.request.prompt) },
  ];
  const ofClip = (clip, format) => `/api/v1/clips/${clip.id}/${format.name === "srt" ? "captions" : `export?format=${format.name}`}`;

  /* Fetched first and saved then: a refusal is a sentence on the page, not a file with an error in it. */
  async function save(address, format) {
    const response = await fetch(address).catch(() => null);
    if (!response) throw new studio.Failure("The studio does not answer. Check that it is still running, then export again.");
    if (!response.ok) {
      const body = await response.json().catch(() => ({}));
      throw new studio.Failure(body.error?.message ?? `The studio answered ${response.status}; try once more.`, body.error?.field);
    }
    const [, name] = response.headers.get("content-disposition").match(/filename="([^"]+)"/);
    const content = URL.createObjectURL(await response.blob());
    const link = h("a", { href: content, download: name, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(content), 60_000);
    toast(`${format.title} saved as ${name}.`);
  }

  studio.exportMenu = (clipShown, { formats = FORMATS, address = ofClip, label = "Export" } = {}) =>
    studio.menu({
      label,
      name: `${label} as`,
      iconName: "download",
      items: () => formats.filter((format) => format.fits(clipShown())),
      chosen: (format, say) => {
        say(`Exporting ${format.title}…`);
        return attempt(() => save(address(clipShown(), format), format));
      },
    });
})();
