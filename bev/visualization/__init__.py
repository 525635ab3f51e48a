"""Drawing of boxes and maps in camera images and in the BEV; report pages and videos."""
