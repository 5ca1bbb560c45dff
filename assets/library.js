/* The Library tab: every clip that was made, found by its words, and one clip in full with all its settings. */
(() => {
  "use strict";
  const { h, icon, button, refill, api, attempt, words, toast, places } = window.studio;
  const studio = window.studio;
  const wanted = { text: "", favourite: false, tag: "", modality: "", order: "newest", best: "" };
  let shown = [],
    tagged = [],
    next = null,
    total = 0,
    turn = 0,
    stale = false,
    pending = 0,
    root = null;

  const SORTED = [
    ["sync.offset_ms", "Best in sync"],
    ["semantic.match", "Closest to the prompt"],
    ["semantic.clip", "Agrees most, by CLIP"],
    ["semantic.siglip", "Agrees most, by SigLIP"],
    ["temporal.flicker", "Steadiest"],
    ["temporal.dynamic_degree", "Most motion"],
    ["picture.sharpness", "Sharpest"],
    ["sound.lufs", "Best loudness"],
  ];
  const JUDGED = ["semantic.clip", "semantic.siglip"]; // only where the studio was given such a model
  let first = null; // the clip that waits for another to be compared with

  const grid = h("div", { class: "grid", role: "list", "aria-label": "Clips" });
  const count = h("p", { class: "count", role: "status" });
  const more = button("Load more", null, () => load({ append: true }), {
    text: true,
    class: "button more",
    hidden: true,
  });
  const tags = h("div", { class: "chips", role: "group", "aria-label": "Tags" });
  const detail = h("dialog", { class: "detail", "aria-label": "Clip" });
  const chooser = h("input", {
    type: "file",
    accept: "video/mp4,.mp4",
    class: "hidden-file",
    "aria-label": "Restore settings from an MP4",
    onchange: () => {
      if (chooser.files[0]) studio.restoreFile(chooser.files[0]);
      chooser.value = "";
    },
  });

  function query(cursor) {
    const parts = new URLSearchParams({ limit: "24", order: wanted.order });
    if (wanted.best) parts.set("best", wanted.best);
    if (wanted.text) parts.set("text", wanted.text);
    if (wanted.favourite) parts.set("favourite", "true");
    if (wanted.tag) parts.set("tag", wanted.tag);
    if (wanted.modality) parts.set("modality", wanted.modality);
    if (cursor) parts.set("cursor", cursor);
    return `/clips?${parts}`;
  }

  async function load({ append = false } = {}) {
    const mine = (turn += 1);
    stale = false;
    pending += 1;
    await attempt(async () => {
      const [page, known] = await Promise.all([api(query(append ? next : null)), api("/tags")]);
      if (mine !== turn) return;
      tagged = known.tags;
      shown = append ? [...shown, ...page.clips] : page.clips;
      next = page.next;
      total = page.total;
      draw();
    }).finally(() => (pending -= 1));
  }

  const filtered = () => wanted.text || wanted.favourite || wanted.tag || wanted.modality;

  function draw() {
    refill(grid, shown.map(tile));
    count.textContent = total ? `${total.toLocaleString()} ${total === 1 ? "clip" : "clips"}` : "";
    more.hidden = !next;
    drawTags();
    if (shown.length) return;
    const clear = button(
      "Show all clips",
      null,
      () => {
        Object.assign(wanted, { text: "", favourite: false, tag: "", modality: "" });
        drawTools();
        load();
      },
      { text: true, class: "button small" },
    );
    const make = button(
      "Make a clip",
      null,
      () => document.querySelector('[role=tab][data-tab-id="create"]')?.click(),
      { text: true, class: "button small" },
    );
    grid.replaceChildren(
      filtered()
        ? h(
            "div",
            { class: "empty" },
            icon("search"),
            h("h2", {}, "No clip matches"),
            h("p", {}, "Try fewer words, or the beginning of a word. The search reads prompts, names and tags."),
            clear,
          )
        : h(
            "div",
            { class: "empty" },
            icon("film"),
            h("h2", {}, "Every clip that you make is kept here"),
            h(
              "p",
              {},
              "With its prompt, its seed and every setting, so that you can find it and make it again. You can also drop an MP4 from a studio onto this page to get its settings back.",
            ),
            make,
          ),
    );
  }

  function tile(clip) {
    const heart = button(
      clip.favourite ? "Remove from favourites" : "Add to favourites",
      "heart",
      () => change(clip, { favourite: !clip.favourite }),
      { "aria-pressed": String(clip.favourite), "data-key": "heart" },
    );
    const face = h(
      "button",
      { type: "button", class: "tile", "aria-label": `Open clip: ${words.title(clip)}`, onclick: () => pick(clip) },
      h("img", { src: clip.urls.thumbnail, alt: "", loading: "lazy" }),
      h("span", { class: "tile-time" }, clip.has_audio ? icon("wave") : null, words.seconds(clip.duration_s)),
    );
    return h(
      "article",
      { class: "clip", role: "listitem", "data-clip": clip.id },
      face,
      heart,
      h("h3", {}, words.title(clip)),
      h(
        "p",
        {},
        words.when(clip.created_at),
        clip.tags.map((tag) => h("span", { class: "tag" }, tag)),
      ),
    );
  }

  function drawTags() {
    const all = [...new Set([...tagged, ...shown.flatMap((clip) => clip.tags), wanted.tag].filter(Boolean))].sort();
    refill(
      tags,
      all.map((tag) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(tag === wanted.tag),
            onclick: () => {
              wanted.tag = wanted.tag === tag ? "" : tag;
              load();
            },
          },
          icon("tag"),
          tag,
        ),
      ),
    );
  }

  async function change(clip, changes) {
    return attempt(async () => {
      const fresh = await api(`/clips/${clip.id}`, { method: "PATCH", json: changes });
      shown = shown.map((each) => (each.id === fresh.id ? fresh : each));
      draw();
      if (pending) load(); // what was asked for before this change would take it back
      studio.clipChanged(fresh);
      if (detail.open) fill(fresh);
      return fresh;
    });
  }

  async function remove(clip) {
    await attempt(async () => {
      const gone = await api(`/clips/${clip.id}`, { method: "DELETE" });
      detail.close();
      shown = shown.filter((each) => each.id !== clip.id);
      total -= 1;
      draw();
      if (pending) load();
      studio.clipChanged(gone);
      toast("Clip deleted.", {
        seconds: 12,
        action: {
          label: "Undo",
          run: () =>
            attempt(async () => {
              studio.clipChanged(await api(`/clips/${clip.id}/undelete`, { method: "POST" }));
              await load();
            }),
        },
      });
    });
  }

  /* ---- one clip in full ---- */
  const LABELS = {
    prompt: "Prompt",
    negative_prompt: "Negative prompt",
    lyrics: "Song text",
    model: "Model",
    modality: "Picture and sound",
    first_frame: "First frame",
    last_frame: "Last frame",
    references: "References",
    edit: "Edit",
    source: "Made from",
    quantization: "Weights",
    loras: "Styles",
    seed: "Seed",
    num_frames: "Frames",
    frame_rate: "Frame rate",
    upscale: "Enlarged",
    stages: "Stages",
    refine_sigmas: "Second stage's noise schedule",
    effort: "Effort",
    num_inference_steps: "Steps",
    sigmas: "Noise schedule",
    guidance_scale: "Picture guidance",
    audio_guidance_scale: "Sound guidance",
    stg_scale: "Picture structure (STG)",
    audio_stg_scale: "Sound structure (STG)",
    modality_scale: "Picture listens to sound",
    audio_modality_scale: "Sound watches picture",
    guidance_rescale: "Picture contrast rescue",
    audio_guidance_rescale: "Sound level rescue",
    guidance_method: "Guidance method",
    guidance_low: "Picture guidance down to noise",
    guidance_high: "Picture guidance from noise",
    audio_guidance_low: "Sound guidance down to noise",
    audio_guidance_high: "Sound guidance from noise",
    crf: "Video compression (CRF)",
    audio_bitrate_kbps: "Sound bitrate",
    file_name: "File",
    file_sha256: "SHA-256 of the file",
  };

  const SILENT = {
    upscale: 1,
    stages: 1,
    effort: "quality",
    guidance_method: "plain",
    guidance_low: 0,
    guidance_high: 1,
    audio_guidance_low: 0,
    audio_guidance_high: 1,
  }; // not worth a line in a clip's facts

  const KINDS = { video_and_audio: "picture + sound", video: "picture only", audio: "sound only" };

  function facts(clip) {
    const rows = [
      ["Size", words.size(clip)],
      ["Duration", `${clip.duration_s.toFixed(2)} s`],
    ];
    for (const [name, value] of Object.entries(clip.request)) {
      if (["kind", "height", "width", "prompt"].includes(name) || value === null || value === "") continue;
      if (SILENT[name] === value || value.length === 0) continue;
      const short = (reference) => `${reference.slice(0, 15)}…`;
      const spelled = {
        first_frame: short,
        last_frame: short,
        upscale: (factor) => `${factor}x`,
        references: (all) => all.map(short).join(", "),
        source: short,
        edit: ({ kind, ...rest }) => [kind, ...Object.entries(rest).filter(([, set]) => set !== null && typeof set !== "object").map(([what, set]) => `${what.replace(/_s$/, "").replaceAll("_", " ")} ${String(set).slice(0, 15)}`)].join(", "),
        loras: (all) => all.map((use) => `${short(use.lora)} at ${use.weight}`).join(", "),
      }[name];
      rows.push([LABELS[name] ?? name, spelled?.(value) ?? (Array.isArray(value) ? value.join(", ") : KINDS[value] ?? String(value))]);
    }
    rows.push(
      ["File", words.bytes(clip.size_bytes)],
      ["Made", new Date(clip.created_at).toLocaleString()],
      ["Studio", clip.code_version],
      ["Weights", `${clip.model_sha256.slice(0, 12)}…`],
    );
    return h(
      "dl",
      { class: "facts" },
      rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))),
    );
  }

  /* Also text that was carried over from a field before: the browser knows no "change" of that. A field that is drawn anew
     loses the keyboard too, in the middle of a word: that is not leaving it. */
  let redrawn = false;
  const savedWhenLeft = (saved, save) => ({
    onblur: ({ target }) => !redrawn && target.value !== saved && save(target.value),
    onkeydown: ({ key, target }) => key === "Enter" && target.blur(),
  });

  function fill(clip) {
    const name = h("input", {
      type: "text",
      class: "text",
      id: "clip-name",
      "data-key": "name",
      maxlength: "200",
      placeholder: "Give it a name",
      value: clip.name,
      ...savedWhenLeft(clip.name, (text) => change(clip, { name: text.trim() })),
    });
    const tagText = h("input", {
      type: "text",
      class: "text",
      id: "clip-tags",
      "data-key": "tags",
      placeholder: "city, night, rain",
      value: clip.tags.join(", "),
      ...savedWhenLeft(clip.tags.join(", "), (text) => {
        const tags = text.split(",").map((tag) => tag.trim());
        return change(clip, { tags: tags.filter(Boolean) });
      }),
    });
    const use = button(
      "Use these settings",
      "reuse",
      () => {
        detail.close();
        studio.showClip(clip);
        studio.restoreRequest(clip.request);
      },
      { text: true, class: "button primary", hidden: clip.request.kind === "import" },
    );
    const cut = button("Edit the clip", "cut", () => (detail.close(), studio.editClip(clip)));
    const heart = button(
      clip.favourite ? "Remove from favourites" : "Add to favourites",
      "heart",
      () => change(clip, { favourite: !clip.favourite }),
      { "aria-pressed": String(clip.favourite), "data-key": "heart" },
    );
    const beside = button("Compare with another clip", "image", () => (detail.close(), choose(clip)));
    const save = studio.downloadLink(clip);
    const bin = button("Delete the clip", "trash", () => remove(clip));
    const side = h(
      "div",
      { class: "detail-side" },
      h("div", { class: "detail-head" }, h("h2", {}, words.title(clip)), button("Close", "close", () => detail.close())),
      clip.name && clip.name !== clip.request.prompt ? h("p", { class: "detail-prompt" }, clip.request.prompt) : null,
      h("div", { class: "detail-tools" }, use, cut, studio.enlargeMenu(clip), beside, heart, save, bin),
      h("label", { for: "clip-name" }, "Name"),
      name,
      h("label", { for: "clip-tags" }, "Tags, separated by commas"),
      tagText,
      h("h3", {}, "Quality"),
      studio.quality(clip),
      h("h3", {}, "Every setting"),
      facts(clip),
    );
    // A change of the name must not stop the clip: the player stays where it is.
    if (detail.querySelector("video")?.dataset.clip === clip.id) {
      const written = detail.querySelector("input[type=text]:focus"); // the answer to one change comes while the next is written
      redrawn = true;
      refill(detail.querySelector(".detail-side"), [...side.childNodes]);
      redrawn = false;
      const again = written && detail.querySelector(`#${written.id}`);
      if (again) Object.assign(again, { value: written.value, selectionStart: written.selectionStart });
      return;
    }
    const video = h("video", {
      controls: true,
      loop: true,
      playsinline: true,
      preload: "metadata",
      "data-clip": clip.id,
      src: clip.urls.file,
      poster: clip.urls.thumbnail,
      "aria-label": `Clip: ${clip.request.prompt}`,
    });
    detail.replaceChildren(h("div", { class: "screen" }, video), side);
  }

  function pick(clip) {
    if (!first) return open(clip);
    const other = first;
    choose(null);
    return other.id === clip.id ? open(clip) : studio.compareClips(other, clip);
  }

  function choose(clip) {
    first = clip;
    grid.classList.toggle("choosing", Boolean(clip));
    if (clip) toast("Now press the clip to compare it with.", { seconds: 8 });
  }

  function open(clip) {
    if (!detail.isConnected) document.body.append(detail);
    fill(clip);
    detail.showModal();
    detail.querySelector(".button.primary").focus();
  }
  detail.addEventListener("close", () => detail.replaceChildren());
  detail.addEventListener("click", (event) => {
    if (event.target === detail) detail.close();
  });

  /* ---- the tools above the grid ---- */
  const tools = h("div", { class: "tools" });
  let pause = 0;

  function drawTools() {
    const search = h("input", {
      type: "search",
      class: "text",
      placeholder: "Search prompts, names and tags",
      "aria-label": "Search clips",
      value: wanted.text,
      oninput: () => {
        clearTimeout(pause);
        pause = setTimeout(() => {
          wanted.text = search.value.trim();
          load();
        }, 200);
      },
    });
    const flip = h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(wanted.favourite),
        onclick: () => {
          wanted.favourite = !wanted.favourite;
          flip.setAttribute("aria-pressed", String(wanted.favourite));
          load();
        },
      },
      icon("heart"),
      "Favourites",
    );
    const choice = (label, name, options) =>
      h(
        "select",
        {
          class: "text",
          "aria-label": label,
          onchange: (event) => {
            const [value, measure = ""] = event.target.value.split(":");
            if (name === "order") wanted.best = measure;
            wanted[name] = value === "best" ? "newest" : value;
            load();
          },
        },
        options.map(([value, text]) => h("option", { value, selected: wanted[name] === value }, text)),
      );
    const order = choice("Order", "order", [
      ["newest", "Newest first"],
      ["oldest", "Oldest first"],
      ...SORTED.filter(([name]) => !JUDGED.includes(name) || name === root.dataset.judge).map(([name, title]) => [`best:${name}`, title]),
    ]);
    order.value = wanted.best ? `best:${wanted.best}` : wanted.order;
    tools.replaceChildren(
      h("div", { class: "search" }, icon("search"), search),
      flip,
      choice("Picture and sound", "modality", [
        ["", "All kinds"],
        ["video_and_audio", "Picture + sound"],
        ["video", "Picture only"],
        ["audio", "Sound only"],
      ]),
      order,
      button("Restore from an MP4", "file", () => chooser.click(), { text: true, class: "button" }),
      chooser,
    );
  }

  const visible = () => Boolean(root?.offsetParent);
  places.library = (element) => {
    root = element.querySelector(".library");
    drawTools();
    root.replaceChildren(tools, tags, count, grid, more);
    load();
    new IntersectionObserver(() => {
      if (visible() && stale) load();
    }).observe(root);
  };
  studio.clipMeasured = (clip) => {
    shown = shown.map((each) => (each.id === clip.id ? clip : each));
    if (detail.open) fill(clip);
  };
  studio.libraryChanged = () => {
    stale = true;
    if (visible() && !detail.open && shown.length <= 24) load();
  };
})();
