"""What each sensor sees of a scene's items: order, masks, lidar points, ground truth."""
