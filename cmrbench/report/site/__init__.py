"""The page that people open: leaderboards, charts and a gallery in one file, and a light page for every run."""

from cmrbench.report.site.build import Site, SiteOptions, build_site
from cmrbench.report.site.folder import publish
from cmrbench.report.site.items import Collection, Place, Resolver, ShownItem

__all__ = ["Collection", "Place", "Resolver", "ShownItem", "Site", "SiteOptions", "build_site", "publish"]
