"use strict";
// Colours of levels: cividis (Nunez et al., 2018), the same to colour-blind eyes. Of differences: blue, paper, orange.
(() => {
  const report = (window.report ??= {});
  const CIVIDIS = [
    "#00224e",
    "#002e6a",
    "#1a386f",
    "#32436d",
    "#434e6c",
    "#535a6d",
    "#61656f",
    "#6f7073",
    "#7d7c78",
    "#8c8878",
    "#9b9476",
    "#aba072",
    "#bcae6c",
    "#cdbb63",
    "#dec958",
    "#f0d846",
    "#fee838",
  ];
  const LIGHT = ["#08306b", "#2171b5", "#6baed6", "#c6dbef", "#ffffff", "#fdd0a2", "#fd8d3c", "#d94801", "#7f2704"];
  const DARK = ["#c6dbef", "#6baed6", "#3182bd", "#17406b", "#15181c", "#6b3410", "#d9601a", "#fd9f57", "#fdd9b5"];

  const COUNT = 255; // odd, so that a difference of 0 dB has the middle colour

  /** Colours as 0xAABBGGRR, the order in which ImageData keeps its bytes, linear between the stops. */
  function table(stops) {
    const channel = (stop, from) => Number.parseInt(stop.slice(from, from + 2), 16);
    return Uint32Array.from({ length: COUNT }, (_, index) => {
      const place = (index / (COUNT - 1)) * (stops.length - 1);
      const left = Math.min(Math.floor(place), stops.length - 2);
      const mix = (from) =>
        Math.round(channel(stops[left], from) * (left + 1 - place) + channel(stops[left + 1], from) * (place - left));
      return (0xff << 24) | (mix(5) << 16) | (mix(3) << 8) | mix(1);
    });
  }

  const css = (colour) => `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;

  report.colourmap = Object.freeze({ level: table(CIVIDIS), light: table(LIGHT), dark: table(DARK), css });
})();
