// The static parts of the report, embedded by amp_embed_file (cmake/EmbedFile.cmake).
#pragma once

#include <string_view>

namespace ampersand::embedded {

std::string_view report_page_html();  // page.html: the frame, with {{name}} where a part goes
std::string_view report_page_css();   // page.css
std::string_view report_plot_js();    // plot.js: what the charts share
std::string_view report_curves_js();  // curves.js: the charts over training steps
std::string_view report_bars_js();    // bars.js: speed and memory
std::string_view report_page_js();    // page.js: places the charts, their keys and their colours
std::string_view
report_inspection_html();  // inspection.html: the frame of doctor's and advise's pages
std::string_view report_inspection_css();  // inspection.css: what they have besides page.css
std::string_view report_inspection_js();   // inspection.js: heat maps and histograms
std::string_view report_chart_js();  // Chart.js itself (MIT licence), from the system's package

}  // namespace ampersand::embedded
