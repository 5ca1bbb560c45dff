/* A person's own video in the Edit tab: chosen or dropped, sent, made into a clip, opened; and what was changed about it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, words, places } = studio;
  const news = h("section", { class: "upload", "aria-label": "Opening a video", hidden: true });
  const chooser = h("input", { type: "file", hidden: true, accept: "video/*,audio/*,image/gif,.mkv,.avi,.mov,.ts,.flac", "aria-label": "Video or sound file" });
  let place = null,
    sending = null;

  const bar = h("div", { class: "bar", role: "progressbar", "aria-label": "Progress of the upload", "aria-valuemin": "0", "aria-valuemax": "100" }, h("i"));
  const said = h("span", {});
  const stop = button("Cancel", null, () => sending?.abort(), { text: true, class: "button small" });

  function show(...lines) {
    news.hidden = !lines.length;
    news.replaceChildren(...lines);
  }
  const close = () => button("Dismiss", "close", () => show());

  /* While bytes travel the bar fills; what the studio does with them afterwards has no measure. */
  function fill(name, share) {
    said.textContent = share < 1 ? `Sending ${name}, ${Math.round(100 * share)} %` : `Making a clip of ${name}…`;
    bar.firstChild.style.width = `${100 * share}%`;
    bar.classList.toggle("busy", share >= 1);
    if (share < 1) bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    else bar.removeAttribute("aria-valuenow");
  }

  /* XMLHttpRequest, because fetch does not tell how far an upload is. */
  function send(file) {
    return new Promise((done, failed) => {
      const form = new FormData();
      form.append("file", file);
      sending = Object.assign(new XMLHttpRequest(), { responseType: "json" });
      sending.upload.onprogress = (event) => event.lengthComputable && fill(file.name, event.loaded / event.total);
      sending.upload.onload = () => fill(file.name, 1);
      sending.onerror = () => failed(new studio.Failure("The studio does not answer. Check that it is still running, then open the file again."));
      sending.onabort = () => failed(new studio.Failure(`${file.name} was not opened.`));
      sending.onload = () => {
        const { status, response } = sending;
        if (status < 300) done(response);
        else failed(new studio.Failure(response?.error?.message ?? `The studio answered ${status}; try once more.`));
      };
      sending.open("POST", "/api/v1/videos");
      sending.send(form);
    });
  }

  async function take(file) {
    if (sending) return;
    fill(file.name, 0);
    show(h("div", { class: "upload-line", role: "status" }, said, stop), bar);
    try {
      const { clip, notices } = await send(file);
      const line = h("b", {}, `${file.name} is open: ${words.seconds(clip.duration_s)}, ${words.size(clip)}.`);
      show(h("div", { class: "upload-line", role: "status" }, line, close()), ...notices.map((text) => h("p", { class: "hint" }, text)));
      studio.editClip(clip);
    } catch (error) {
      if (!(error instanceof studio.Failure)) throw error;
      show(h("div", { class: "upload-line", role: "alert" }, h("span", { class: "bad" }, error.message), close()));
    } finally {
      sending = null;
      chooser.value = "";
    }
  }
  chooser.addEventListener("change", () => chooser.files[0] && take(chooser.files[0]));
  studio.openVideo = () => button("Open a video…", "plus", () => chooser.click(), { text: true, class: "button small" });

  /* A file dropped while the Edit tab is shown is a video or a project to open, wherever it falls; other tabs do what they do. */
  const isOurs = (event) => place?.offsetParent && event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const lift = (by) => {
    depth = by ? Math.max(0, depth + by) : 0;
    place.classList.toggle("drop", depth > 0);
  };
  for (const [kind, act] of [["dragenter", () => lift(1)], ["dragleave", () => lift(-1)], ["drop", () => lift(0)]])
    addEventListener(kind, (event) => {
      if (!isOurs(event)) return;
      event.preventDefault();
      event.stopPropagation();
      act();
      const file = event.dataTransfer.files[0];
      if (kind !== "drop" || !file) return;
      if (file.name.toLowerCase().endsWith(".aiprod")) studio.importProject?.(file);
      else take(file);
    }, true);

  const mountEditor = places.edit;
  places.edit = (element) => {
    mountEditor(element);
    place = element;
    element.prepend(news, chooser);
  };
})();
