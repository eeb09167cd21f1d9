// Starts everything; what needs scripts is hidden until here.
view.read();
all(".js").forEach((element) => { element.hidden = false; });
setUpTheme();
setUpTables();
setUpCharts();
setUpGallery();
document.documentElement.dataset.ready = "yes";
