/* The Export menus of the Edit tab: the clip that is shown, or the project, as another kind of file. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon, attempt, toast } = studio;
  const FORMATS = [
    { name: "webm", title: "WebM", what: "VP9 and Opus, for the web", fits: () => true },
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

  /* A button that unfolds the formats of what clipShown gives: arrows move, Escape and a press elsewhere fold it. */
  studio.exportMenu = (clipShown, { formats = FORMATS, address = ofClip, label = "Export" } = {}) => {
    const list = h("div", { class: "export-list", role: "menu", "aria-label": `${label} as`, hidden: true });
    const said = h("span", {}, label);
    const opener = h(
      "button",
      { type: "button", class: "button small export-open", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => (list.hidden ? unfold() : fold()) },
      icon("download"), said,
    );
    const items = () => [...list.children];
    const fold = () => {
      list.hidden = true;
      opener.setAttribute("aria-expanded", "false");
    };
    const unfold = () => {
      const clip = clipShown();
      list.replaceChildren(
        ...formats.filter((format) => format.fits(clip)).map((format) =>
          h(
            "button", { type: "button", role: "menuitem", tabindex: "-1", "data-format": format.name, onclick: () => choose(clip, format) },
            h("b", {}, format.title), h("small", {}, format.what),
          )),
      );
      list.hidden = false;
      opener.setAttribute("aria-expanded", "true");
      items()[0].focus();
    };
    async function choose(clip, format) {
      fold();
      opener.focus();
      opener.setAttribute("aria-busy", "true");
      said.textContent = `Exporting ${format.title}…`;
      try {
        await attempt(() => save(address(clip, format), format));
      } finally {
        opener.removeAttribute("aria-busy");
        said.textContent = label;
      }
    }
    const whole = h("div", { class: "export" }, opener, list);
    whole.addEventListener("keydown", (event) => {
      const at = items().indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
      if (event.key === "Escape" && !list.hidden) {
        fold();
        opener.focus();
      } else if (to !== undefined && !list.hidden) items().at(to % items().length).focus();
      else if (event.key === "ArrowDown") unfold();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    whole.addEventListener("focusout", (event) => event.relatedTarget && !whole.contains(event.relatedTarget) && fold());
    document.addEventListener("pointerdown", (event) => !whole.contains(event.target) && fold());
    return whole;
  };
})();
