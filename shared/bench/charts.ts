import { createRequire } from 'node:module';
import { join } from 'node:path';
import { median } from '../metrics/statistics.ts';
import type { Measured } from './measure.ts';
import { peersFolder } from './peers.ts';
import { cpuOf, figures } from './results.ts';

/** Each chart is drawn for the light and for the dark colour scheme of a page. */
export const themes = ['light', 'dark'] as const;
type Theme = (typeof themes)[number];

const inks = {
  light: { text: '#1f2328', grid: '#d1d9e0', ours: '#0969da', others: '#afb8c1' },
  dark: { text: '#f0f6fc', grid: '#3d444d', ours: '#4493f8', others: '#656c76' },
};

const chartWidth = 760;
const rowHeight = 30;
const frameHeight = 74;

/** The part of echarts that draws here. Its own types are missing in a checkout in which it is not installed. */
interface Echarts {
  init(
    element: null,
    theme: null,
    options: { renderer: 'svg'; ssr: true; width: number; height: number },
  ): { setOption(option: object): void; renderToSVGString(): string; dispose(): void };
}

/** Loads echarts, which installPeers() installs, and returns a function that draws a chart of cpuChart() as SVG. */
export function loadPainter(): (chart: CpuChart) => string {
  const { init }: Echarts = createRequire(join(peersFolder, 'package.json'))('echarts');
  return ({ height, option }) => {
    const chart = init(null, null, { renderer: 'svg', ssr: true, width: chartWidth, height });
    chart.setOption(option);
    const svg = chart.renderToSVGString();
    chart.dispose(); // otherwise its timer keeps the process alive
    return `${svg}\n`;
  };
}

/** A chart to draw: its height in pixels, and its option for echarts. */
export type CpuChart = ReturnType<typeof cpuChart>;

/** A bar chart: CPU microseconds per request of each subject, lowest on top. The phases have their own colour. */
export function cpuChart(title: string, measured: Measured[], theme: Theme) {
  const ink = inks[theme];
  const bars = measured
    .map((one) => ({ name: one.name, value: Math.round(median(figures(one, cpuOf)) * 10) / 10 }))
    .filter(({ value }) => value > 0)
    .sort((a, b) => b.value - a.value);
  const words = { color: ink.text, fontFamily: 'system-ui, sans-serif', fontSize: 13 };
  const option = {
    animation: false,
    title: {
      text: title,
      subtext: 'CPU µs per request, median',
      textStyle: { ...words, fontSize: 15 },
      subtextStyle: words,
    },
    grid: { left: 250, right: 60, top: 60, bottom: 8 },
    xAxis: { type: 'value', axisLabel: { show: false }, splitLine: { lineStyle: { color: ink.grid } } },
    yAxis: {
      type: 'category',
      data: bars.map(({ name }) => name),
      axisLabel: words,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: ink.grid } },
    },
    series: [
      {
        type: 'bar',
        barWidth: 18,
        label: { show: true, position: 'right', ...words },
        data: bars.map(({ name, value }) => ({
          value,
          itemStyle: { color: name.includes('phase') ? ink.ours : ink.others },
        })),
      },
    ],
  };
  return { height: frameHeight + bars.length * rowHeight, option };
}
