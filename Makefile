help:
	@echo "targets: see below"
