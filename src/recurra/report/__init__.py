"""What a run leaves for people and for scripts to read: scores.json, baselines.json, report.html, pictures.

scores    scores_json, baselines_json: the fixed list of {"name", "value", "unit", "better", "split"}
page      html: one page that opens from disk, with no network and no script
charts    Chart, Curve: what is drawn over steps or epochs; svg: drawn by hand
tables    scores beside baselines, scores per label, the confusion matrix as a heat map, any other Table
heatmap   HeatMap: what each token of an output looked at; drawn by hand
recordings  RecordingFigure: a spectrogram with units below it, and the sound
markup    elements that escape everything they are given
png       pictures: confusion.png, curves.png, map.png and attention.png, where matplotlib is installed
folder    write: all of these into a run folder, each whole or not at all
"""

from recurra.report.charts import Chart, Curve
from recurra.report.folder import Written, write
from recurra.report.heatmap import HeatMap
from recurra.report.page import html
from recurra.report.png import Pictures, curves_png, heat_png, pictures
from recurra.report.recordings import RecordingFigure, Unit
from recurra.report.scores import baselines_json, scores_json

__all__ = [
    "Chart",
    "Curve",
    "HeatMap",
    "Pictures",
    "RecordingFigure",
    "Unit",
    "Written",
    "baselines_json",
    "curves_png",
    "heat_png",
    "html",
    "pictures",
    "scores_json",
    "write",
]
