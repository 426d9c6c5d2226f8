import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/controls.css";
import "./style/tables.css";
import "./style/frame.css";
import "./style/saved.css";
import "./style/views.css";
import "./style/explain.css";
import "./theme";
import { App } from "./app";

render(<App />, document.getElementById("page")!);
