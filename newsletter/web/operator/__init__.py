"""The operator's pages: overview, readers, rubrics, review queues, log of actions."""
