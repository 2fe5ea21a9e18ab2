"use strict";
// Signals that play in step, each through its own gain: hearing another one is a crossfade, and never moves the time.
(() => {
  const report = (window.report ??= {});
  const FADE = 0.01; // s: short enough to be instant, long enough not to click
  const LEAD = 0.005; // s: ramps begin in the future, or their first part would be skipped
  const SHORTEST = 0.05; // s: of a loop

  /**
   * Linear gains by signal that give each the target's loudness: 10^((target LUFS - own LUFS) / 20), all lowered by one
   * common factor where the loudest peak would exceed full scale. Signals without a loudness keep theirs.
   */
  function matching(signals) {
    const target = signals.find(({ kind }) => kind === "target")?.lufs ?? null;
    const gain = ({ lufs }) => (target === null || (lufs ?? null) === null ? 1 : 10 ** ((target - lufs) / 20));
    const highest = Math.max(1, ...signals.map((signal) => gain(signal) * signal.peak));
    return new Map(signals.map((signal) => [signal.id, gain(signal) / highest]));
  }

  /** A region of a buffer whose end fades into what precedes its start, so that repeating it does not click. */
  function seamless(buffer, start, end) {
    const rate = buffer.sampleRate;
    const [first, last] = [Math.round(start * rate), Math.min(Math.round(end * rate), buffer.length)];
    const fade = Math.min(Math.round(FADE * rate), last - first);
    const looped = new AudioBuffer({
      length: last - first,
      sampleRate: rate,
      numberOfChannels: buffer.numberOfChannels,
    });
    for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
      const whole = buffer.getChannelData(channel);
      const part = whole.slice(first, last);
      for (let index = 0; index < fade; index++) {
        const weight = (index + 1) / (fade + 1);
        const before = first - fade + index;
        part[part.length - fade + index] *= 1 - weight;
        if (first >= fade) part[part.length - fade + index] += weight * whole[before];
        else part[index] *= weight; // nothing precedes the start: fade out, then in
      }
      looped.copyToChannel(part, channel);
    }
    return looped;
  }

  /** One start of all signals. It lasts until the position or the loop changes; then another fades in over it. */
  class Deck {
    #fades = new Map();
    #sources = [];
    #gains = new Map();
    #out;
    #open = 0; // context time at which the fade-in ends
    #busy = 0; // context time at which the last crossfade ends

    constructor(context, buffers, levels, when, offset, loop) {
      this.context = context;
      this.#out = new GainNode(context, { gain: 0 });
      this.#out.gain.setValueAtTime(0, when);
      this.#out.gain.linearRampToValueAtTime(1, when + FADE);
      this.#out.connect(context.destination);
      for (const [id, buffer] of buffers) {
        const source = new AudioBufferSourceNode(context, { buffer, loop });
        const gain = new GainNode(context, { gain: levels.get(id) });
        source.connect(gain).connect(this.#out);
        source.start(when, offset);
        this.#sources.push(source);
        this.#gains.set(id, gain.gain);
        this.#fades.set(id, levels.get(id));
      }
      this.#open = when + FADE;
      this.#busy = when;
    }

    set onended(action) {
      this.#sources[0].onended = action;
    }

    /** Crossfades to other levels. Ramps queue up and are never cut off, so a level never jumps. */
    fade(levels) {
      const start = Math.max(this.context.currentTime + LEAD, this.#busy);
      for (const [id, gain] of this.#gains) {
        if (levels.get(id) === this.#fades.get(id)) continue;
        gain.setValueAtTime(this.#fades.get(id), start);
        gain.linearRampToValueAtTime(levels.get(id), start + FADE);
        this.#fades.set(id, levels.get(id));
        this.#busy = start + FADE;
      }
    }

    /** Fades out as soon as it can; returns the context time at which that begins. */
    stop() {
      const start = Math.max(this.#open, this.context.currentTime + LEAD);
      this.onended = () => this.#out.disconnect();
      this.#out.gain.setValueAtTime(1, start);
      this.#out.gain.linearRampToValueAtTime(0, start + FADE);
      for (const source of this.#sources) source.stop(start + FADE);
      return start;
    }
  }

  class Engine {
    #context = null;
    #signals = [];
    #matching = new Map();
    #deck = null;
    #began = 0; // context time of the deck's start
    #offset = 0; // s in the passage, at that time or while paused
    #selected = null;
    #matched = false;
    #region = null;
    onchange = () => {};

    /** Takes signals {id, kind, lufs, peak, buffer} of one length; playing stops, the position goes to 0. */
    load(signals, gains = matching(signals)) {
      this.pause();
      this.#signals = signals;
      this.#matching = gains;
      this.#region = null;
      this.#offset = 0;
      this.#selected = signals[0].id;
      this.onchange();
    }

    get seconds() {
      return this.#signals.length ? this.#signals[0].buffer.duration : 0;
    }
    get playing() {
      return this.#deck !== null;
    }
    get selected() {
      return this.#selected;
    }
    get matched() {
      return this.#matched;
    }
    get region() {
      return this.#region && { ...this.#region };
    }
    get gains() {
      return new Map(this.#signals.map(({ id }) => [id, this.#matched ? this.#matching.get(id) : 1]));
    }

    /** Seconds in the passage that are heard now. */
    get position() {
      if (!this.#deck) return this.#offset;
      const passed = this.#offset + Math.max(0, this.#context.currentTime - this.#began);
      if (!this.#region) return Math.min(passed, this.seconds);
      const { start, end } = this.#region;
      return start + ((passed - start) % (end - start));
    }

    get #levels() {
      const gains = this.gains;
      for (const id of gains.keys()) if (id !== this.#selected) gains.set(id, 0);
      return gains;
    }

    #start(position) {
      const when = this.#deck ? this.#deck.stop() : this.#context.currentTime + LEAD;
      const region = this.#region;
      const buffers = new Map(
        this.#signals.map(({ id, buffer }) => [id, region ? seamless(buffer, region.start, region.end) : buffer]),
      );
      const offset = region ? position - region.start : position;
      const deck = new Deck(this.#context, buffers, this.#levels, when, offset, region !== null);
      deck.onended = () => {
        if (this.#deck !== deck) return;
        this.#deck = null;
        this.#offset = 0;
        this.onchange();
      };
      [this.#deck, this.#began, this.#offset] = [deck, when, position];
    }

    #move(position) {
      const { start, end } = this.#region ?? { start: 0, end: this.seconds };
      const inside = position >= start && position < end ? position : start;
      if (this.#deck) this.#start(inside);
      else this.#offset = inside;
      this.onchange();
    }

    play(context) {
      if (this.#deck || !this.#signals.length) return;
      this.#context = context;
      this.#start(this.#offset < this.seconds ? this.#offset : 0);
      this.onchange();
    }

    pause() {
      if (!this.#deck) return;
      this.#offset = this.position;
      this.#deck.stop();
      this.#deck = null;
      this.onchange();
    }

    seek(position) {
      this.#move(Math.max(0, Math.min(position, this.seconds - SHORTEST)));
    }

    select(id) {
      if (!this.#signals.some((signal) => signal.id === id)) throw new RangeError(`no signal ${id}`);
      this.#selected = id;
      this.#deck?.fade(this.#levels);
      this.onchange();
    }

    match(on) {
      this.#matched = on;
      this.#deck?.fade(this.#levels);
      this.onchange();
    }

    /** Repeats {start, end} in seconds, at least 50 ms; null ends it. */
    loop(region) {
      const position = this.position;
      if (region) {
        const start = Math.max(0, Math.min(region.start, this.seconds - SHORTEST));
        region = { start, end: Math.min(Math.max(region.end, start + SHORTEST), this.seconds) };
      }
      this.#region = region;
      this.#move(position);
    }
  }

  report.Engine = Engine;
  report.matching = matching;
})();
